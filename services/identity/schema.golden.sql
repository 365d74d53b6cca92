-- What the migrations of identity come to. Not run by anybody; npm run golden writes it anew.

create table erased_records (
  request_id text not null,
  place text not null,
  customer_id text not null,
  erased_count bigint not null default 0,
  constraint erased_records_pkey PRIMARY KEY (request_id, place)
);

create table failed_attempts (
  account text not null,
  origin text not null,
  level double precision not null,
  update_time timestamptz not null,
  drain_time timestamptz not null,
  constraint failed_attempts_pkey PRIMARY KEY (account, origin)
);
CREATE INDEX failed_attempts_by_drain_time ON failed_attempts USING btree (drain_time);

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

create table refresh_tokens (
  sha256 bytea not null,
  session_id text not null,
  generation integer not null,
  constraint refresh_tokens_pkey PRIMARY KEY (sha256),
  constraint refresh_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES sessions(id) ON DELETE CASCADE
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens USING btree (session_id, generation);

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

create table security_events (
  id text not null,
  kind text not null,
  create_time timestamptz not null,
  user_id text,
  session_id text,
  client_address text,
  actor text,
  role text,
  known_device boolean not null,
  constraint security_events_pkey PRIMARY KEY (id)
);
CREATE INDEX security_events_by_create_time ON security_events USING btree (create_time);
CREATE INDEX security_events_by_user ON security_events USING btree (user_id, id DESC);
CREATE INDEX security_events_by_user_and_kind ON security_events USING btree (user_id, kind, create_time);

create table sessions (
  id text not null,
  user_id text not null,
  create_time timestamptz not null,
  refresh_time timestamptz not null,
  expire_time timestamptz not null,
  revoke_time timestamptz,
  generation integer not null default 0,
  refresh_request_id text,
  constraint sessions_pkey PRIMARY KEY (id),
  constraint sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id)
);
CREATE INDEX sessions_by_expire_time ON sessions USING btree (expire_time);
CREATE INDEX sessions_by_user ON sessions USING btree (user_id, id DESC) WHERE revoke_time IS NULL;
CREATE INDEX sessions_by_user_of_any_state ON sessions USING btree (user_id);

create table signing_keys (
  id text not null,
  x text not null,
  d text not null,
  create_time timestamptz not null,
  retire_time timestamptz,
  sign_time timestamptz not null default now(),
  constraint signing_keys_pkey PRIMARY KEY (id)
);
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys USING btree ((true)) WHERE retire_time IS NULL;

create table user_roles (
  user_id text not null,
  role text not null,
  constraint user_roles_pkey PRIMARY KEY (user_id, role),
  constraint user_roles_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id),
  constraint user_roles_role_check CHECK (role = ANY (ARRAY['admin'::text, 'support'::text, 'warehouse'::text, 'courier'::text]))
);

create table users (
  id text not null,
  kind text not null,
  email text,
  password_hash text,
  create_time timestamptz not null,
  erase_time timestamptz,
  constraint users_pkey PRIMARY KEY (id),
  constraint users_email_key UNIQUE (email),
  constraint users_credentials CHECK ((kind = 'customer'::text AND erase_time IS NULL) = (email IS NOT NULL AND password_hash IS NOT NULL)),
  constraint users_erased CHECK (erase_time IS NULL OR email IS NULL AND password_hash IS NULL),
  constraint users_kind_check CHECK (kind = ANY (ARRAY['guest'::text, 'customer'::text]))
);
CREATE INDEX users_guests ON users USING btree (create_time) WHERE kind = 'guest'::text;
