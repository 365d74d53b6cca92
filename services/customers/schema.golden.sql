-- What the migrations of customers come to. Not run by anybody; npm run golden writes it anew.

create table addresses (
  id text collate "C" not null,
  customer_id text collate "C" not null,
  label text not null,
  address jsonb not null,
  version bigint not null default 1,
  create_time timestamptz not null,
  update_time timestamptz not null,
  constraint addresses_pkey PRIMARY KEY (id),
  constraint addresses_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id)
);
CREATE INDEX addresses_by_customer ON addresses USING btree (customer_id, id DESC);

create table customers (
  id text collate "C" not null,
  display_name text not null default ''::text,
  phone text not null default ''::text,
  language_code text not null default ''::text,
  default_address_id text collate "C",
  version bigint not null default 0,
  create_time timestamptz not null,
  update_time timestamptz,
  erase_time timestamptz,
  constraint customers_pkey PRIMARY KEY (id),
  constraint customers_erased CHECK (erase_time IS NULL OR display_name = ''::text AND phone = ''::text AND language_code = ''::text AND default_address_id IS NULL)
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
  constraint once_requests_pkey PRIMARY KEY (method, principal, request_id)
);
CREATE INDEX once_requests_create_time ON once_requests USING btree (create_time);

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
