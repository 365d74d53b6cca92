-- What the migrations of cart come to. Not run by anybody; npm run golden writes it anew.

create table cart_lines (
  cart_id text not null,
  sku text not null,
  quantity bigint not null,
  position bigint not null generated always as identity,
  constraint cart_lines_pkey PRIMARY KEY (cart_id, sku),
  constraint cart_lines_cart_id_fkey FOREIGN KEY (cart_id) REFERENCES carts(id),
  constraint cart_lines_quantity_check CHECK (quantity >= 1 AND quantity <= 10000)
);

create table carts (
  id text not null,
  owner_id text not null,
  create_time timestamptz not null,
  update_time timestamptz not null,
  constraint carts_pkey PRIMARY KEY (id),
  constraint carts_owner_id_key UNIQUE (owner_id)
);

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
