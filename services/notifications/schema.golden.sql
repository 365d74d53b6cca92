-- What the migrations of notifications come to. Not run by anybody; npm run golden writes it anew.

create table erased_customers (
  customer_id text collate "C" not null,
  erase_time timestamptz(3) not null default now(),
  constraint erased_customers_pkey PRIMARY KEY (customer_id)
);

create table erased_records (
  request_id text not null,
  place text not null,
  customer_id text not null,
  erased_count bigint not null default 0,
  constraint erased_records_pkey PRIMARY KEY (request_id, place)
);

create table notifications (
  id text collate "C" not null,
  method text not null,
  request_id text not null,
  request_hash bytea not null,
  kind text not null,
  order_id text collate "C" not null,
  about text collate "C" not null,
  customer_id text collate "C" not null,
  email text not null,
  letter bytea not null,
  message_id text not null,
  state text not null,
  attempts integer not null default 0,
  backoff_ms integer not null default 0,
  last_error text not null default ''::text,
  next_attempt_time timestamptz(3),
  lease_until timestamptz(3),
  give_up_time timestamptz(3) not null,
  create_time timestamptz(3) not null default now(),
  send_time timestamptz(3),
  constraint notifications_pkey PRIMARY KEY (id),
  constraint notifications_one_each UNIQUE (order_id, kind, about),
  constraint notifications_request_once UNIQUE (method, request_id),
  constraint notifications_due CHECK ((state = 'QUEUED'::text) = (next_attempt_time IS NOT NULL)),
  constraint notifications_erased CHECK (state <> 'ERASED'::text OR email = ''::text AND length(letter) = 0 AND length(request_hash) = 0 AND last_error = ''::text),
  constraint notifications_kind_check CHECK (kind = ANY (ARRAY['ORDER_CONFIRMATION'::text, 'SHIPPED'::text, 'DELIVERED'::text, 'REFUND'::text])),
  constraint notifications_sent CHECK (state <> 'SENT'::text OR send_time IS NOT NULL),
  constraint notifications_state_check CHECK (state = ANY (ARRAY['QUEUED'::text, 'SENT'::text, 'FAILED'::text, 'ERASED'::text]))
);
CREATE INDEX notifications_by_customer ON notifications USING btree (customer_id, id);
CREATE INDEX notifications_by_state ON notifications USING btree (state, id DESC);
CREATE INDEX notifications_due ON notifications USING btree (next_attempt_time) WHERE state = 'QUEUED'::text;

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
