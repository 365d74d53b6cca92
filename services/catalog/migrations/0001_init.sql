-- Words of one weight, by their English stems and, where they differ, as they stand: the beginning of a word that is
-- being typed is seldom the beginning of its stem. The texts are words apart by spaces: see domain-search.ts.
create function words_vector(words text, weight "char") returns tsvector
language sql immutable parallel safe
return setweight(to_tsvector('english', words), weight)
  || setweight(ts_delete(to_tsvector('simple', words), tsvector_to_array(to_tsvector('english', words))), weight);

-- The tree of products. Categories are added and changed, never removed.
create table categories (
  -- The form is relied on where a slug becomes part of a search entry or of a query.
  slug text collate "C" primary key check (slug ~ '^[a-z0-9-]+$'),
  title text not null,
  parent_slug text collate "C" references categories (slug),
  -- The slugs from the top down to this category itself, so that those below one are found without recursion.
  path text[] collate "C" not null,
  -- The title as words to search by: see domain-search.ts.
  words text not null,
  -- What the category gives to the search entries of its products, all of weight B: the words of its title and of
  -- those above it, and a marker `/slug`, which no word can be, for each category on its path.
  search tsvector not null,
  -- Counts the versions of `search`, and tells which of them all products have. See reindex.ts.
  search_version int not null default 0,
  indexed_version int not null default 0
);

create index categories_parent_slug on categories (parent_slug);
create index categories_path on categories using gin (path);
create index categories_to_index on categories (slug) where indexed_version < search_version;

-- Room is left on each page, so that a change that touches no index stays on its page and costs no index entry.
create table products (
  id text collate "C" primary key,
  external_key text collate "C" not null,
  title text collate "C" not null,
  description text not null,
  category_slug text collate "C" not null references categories (slug),
  -- [{"name": …, "value": …}, …] in the order they are shown.
  attributes jsonb not null,
  state text not null default 'ACTIVE' check (state in ('ACTIVE', 'ARCHIVED')),
  -- Counts the versions; the etag.
  version bigint not null default 1,
  create_time timestamptz not null,
  update_time timestamptz not null,
  constraint products_external_key_unique unique (external_key)
) with (fillfactor = 90);

-- The two orders in which products are listed.
create index products_by_title on products (title, id) where state = 'ACTIVE';
create index products_by_category on products (category_slug, title, id) where state = 'ACTIVE';

-- The primary key makes a SKU unique in the shop, for ever: a variant that is taken off its product keeps its row,
-- without a position, and so its SKU is given to no other product.
create table variants (
  sku text collate "C" primary key,
  product_id text collate "C" not null references products (id),
  position int,
  title text not null,
  price_minor bigint not null constraint variants_price_not_negative check (price_minor >= 0),
  currency_code text not null,
  weight_grams int not null check (weight_grams >= 0),
  length_mm int check (length_mm >= 0),
  width_mm int check (width_mm >= 0),
  height_mm int check (height_mm >= 0),
  attributes jsonb not null,
  constraint variants_dimensions_whole check (num_nulls(length_mm, width_mm, height_mm) in (0, 3))
) with (fillfactor = 90);

create index variants_by_product on variants (product_id, position);

-- What an active product is found by, weighted: A its title and SKUs, B its category, C attributes, D description.
-- Apart from products, so that ranking reads narrow rows, and so that a change of a price or a state writes no search
-- entry. A row is kept whole on its page up to the largest size there is.
create table product_search (
  product_id text collate "C" primary key references products (id),
  category_slug text collate "C" not null,
  search tsvector not null
) with (toast_tuple_target = 8160);

create index product_search_by_category on product_search (category_slug, product_id);

-- The first finds every match. The second finds those that match by title, SKU or category alone: the best ones, which
-- must not be missed where a query matches too many products for all of them to be ranked. What waits to be merged into
-- an index is read by every search, so it is kept to 1 MiB.
create index product_search_all on product_search using gin (search) with (gin_pending_list_limit = 1024);
create index product_search_best on product_search using gin (ts_filter(search, '{a,b}'))
  with (gin_pending_list_limit = 1024);
