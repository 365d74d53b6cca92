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

create table erasure_places (
  erasure_id text collate "C" not null,
  service text not null,
  position integer not null,
  place text not null,
  erased_count bigint not null,
  left_count bigint not null,
  kept text not null,
  constraint erasure_places_pkey PRIMARY KEY (erasure_id, service, "position"),
  constraint erasure_places_erasure_id_service_fkey FOREIGN KEY (erasure_id, service) REFERENCES erasure_services(erasure_id, service)
);

create table erasure_services (
  erasure_id text collate "C" not null,
  service text not null,
  position integer not null,
  rounds integer not null default 0,
  attempts integer not null default 0,
  tries integer not null default 0,
  next_attempt_time timestamptz not null,
  last_error text not null default ''::text,
  answer_time timestamptz,
  constraint erasure_services_pkey PRIMARY KEY (erasure_id, service),
  constraint erasure_services_erasure_id_fkey FOREIGN KEY (erasure_id) REFERENCES erasures(id),
  constraint erasure_services_rounds_check CHECK (rounds >= 0 AND rounds <= 2)
);

create table erasures (
  id text collate "C" not null,
  customer_id text collate "C" not null,
  state text not null,
  fence bigint not null default 0,
  lease_until timestamptz,
  next_attempt_time timestamptz,
  create_time timestamptz not null,
  verify_time timestamptz,
  done_time timestamptz,
  constraint erasures_pkey PRIMARY KEY (id),
  constraint erasures_customer_id_key UNIQUE (customer_id),
  constraint erasures_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers(id),
  constraint erasures_done CHECK ((state = 'DONE'::text) = (done_time IS NOT NULL)),
  constraint erasures_due CHECK ((state = 'DONE'::text) = (next_attempt_time IS NULL)),
  constraint erasures_state_check CHECK (state = ANY (ARRAY['RUNNING'::text, 'VERIFYING'::text, 'DONE'::text])),
  constraint erasures_verified CHECK ((state = 'RUNNING'::text) = (verify_time IS NULL))
);
CREATE INDEX erasures_due ON erasures USING btree (next_attempt_time) WHERE state <> 'DONE'::text;

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
