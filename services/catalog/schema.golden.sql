-- What the migrations of catalog come to. Not run by anybody; npm run golden writes it anew.

create table categories (
  slug text collate "C" not null,
  title text not null,
  parent_slug text collate "C",
  path text[] collate "C" not null,
  words text not null,
  search tsvector not null,
  search_version integer not null default 0,
  indexed_version integer not null default 0,
  constraint categories_pkey PRIMARY KEY (slug),
  constraint categories_parent_slug_fkey FOREIGN KEY (parent_slug) REFERENCES categories(slug),
  constraint categories_slug_check CHECK (slug ~ '^[a-z0-9-]+$'::text)
);
CREATE INDEX categories_parent_slug ON categories USING btree (parent_slug);
CREATE INDEX categories_path ON categories USING gin (path);
CREATE INDEX categories_to_index ON categories USING btree (slug) WHERE indexed_version < search_version;

create table erased_records (
  request_id text not null,
  place text not null,
  customer_id text not null,
  erased_count bigint not null default 0,
  constraint erased_records_pkey PRIMARY KEY (request_id, place)
);

create table once_requests (
  method text not null,
  principal text not null,
  request_id text not null,
  request_sha256 bytea not null,
  response bytea not null,
  create_time timestamptz not null,
  subject text,
  constraint once_requests_pkey PRIMARY KEY (method, principal, request_id)
);
CREATE INDEX once_requests_create_time ON once_requests USING btree (create_time);
CREATE INDEX once_requests_subject ON once_requests USING btree (subject) WHERE subject IS NOT NULL;

create table product_search (
  product_id text collate "C" not null,
  category_slug text collate "C" not null,
  search tsvector not null,
  constraint product_search_pkey PRIMARY KEY (product_id),
  constraint product_search_product_id_fkey FOREIGN KEY (product_id) REFERENCES products(id)
);
CREATE INDEX product_search_all ON product_search USING gin (search) WITH (gin_pending_list_limit='1024');
CREATE INDEX product_search_best ON product_search USING gin (ts_filter(search, '{a,b}'::"char"[])) WITH (gin_pending_list_limit='1024');
CREATE INDEX product_search_by_category ON product_search USING btree (category_slug, product_id);

create table products (
  id text collate "C" not null,
  external_key text collate "C" not null,
  title text collate "C" not null,
  description text not null,
  category_slug text collate "C" not null,
  attributes jsonb not null,
  state text not null default 'ACTIVE'::text,
  version bigint not null default 1,
  create_time timestamptz not null,
  update_time timestamptz not null,
  constraint products_pkey PRIMARY KEY (id),
  constraint products_external_key_unique UNIQUE (external_key),
  constraint products_category_slug_fkey FOREIGN KEY (category_slug) REFERENCES categories(slug),
  constraint products_state_check CHECK (state = ANY (ARRAY['ACTIVE'::text, 'ARCHIVED'::text]))
);
CREATE INDEX products_by_category ON products USING btree (category_slug, title, id) WHERE state = 'ACTIVE'::text;
CREATE INDEX products_by_title ON products USING btree (title, id) WHERE state = 'ACTIVE'::text;

create table schema_migrations (
  scope text not null,
  name text not null,
  checksum text not null,
  apply_time timestamptz not null default now(),
  constraint schema_migrations_pkey PRIMARY KEY (scope, name)
);

create table sealing_key (
  one boolean not null default true,
  key bytea not null,
  constraint sealing_key_pkey PRIMARY KEY (one),
  constraint sealing_key_key_check CHECK (length(key) = 32),
  constraint sealing_key_one_check CHECK (one)
);

create table variants (
  sku text collate "C" not null,
  product_id text collate "C" not null,
  position integer,
  title text not null,
  price_minor bigint not null,
  currency_code text not null,
  weight_grams integer not null,
  length_mm integer,
  width_mm integer,
  height_mm integer,
  attributes jsonb not null,
  constraint variants_pkey PRIMARY KEY (sku),
  constraint variants_product_id_fkey FOREIGN KEY (product_id) REFERENCES products(id),
  constraint variants_dimensions_whole CHECK (num_nulls(length_mm, width_mm, height_mm) = ANY (ARRAY[0, 3])),
  constraint variants_height_mm_check CHECK (height_mm >= 0),
  constraint variants_length_mm_check CHECK (length_mm >= 0),
  constraint variants_price_not_negative CHECK (price_minor >= 0),
  constraint variants_weight_grams_check CHECK (weight_grams >= 0),
  constraint variants_width_mm_check CHECK (width_mm >= 0)
);
CREATE INDEX variants_by_product ON variants USING btree (product_id, "position");

CREATE OR REPLACE FUNCTION public.words_vector(words text, weight "char")
 RETURNS tsvector
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (setweight(to_tsvector('english'::regconfig, words), weight) || setweight(ts_delete(to_tsvector('simple'::regconfig, words), tsvector_to_array(to_tsvector('english'::regconfig, words))), weight));
