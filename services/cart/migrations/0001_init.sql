-- One cart a person. Its row is locked by whoever changes its lines, so that changes take turns.
create table carts (
  id text primary key,
  owner_id text not null unique,
  create_time timestamptz not null,
  update_time timestamptz not null
);

-- No prices: those are the catalogue's, at the moment of reading.
create table cart_lines (
  cart_id text not null references carts (id),
  sku text not null,
  quantity bigint not null check (quantity between 1 and 10000),
  position bigint generated always as identity,
  primary key (cart_id, sku)
);
