create table users (
  id text primary key,
  kind text not null check (kind in ('guest', 'customer')),
  -- Lower case. Guests have neither address nor password.
  email text unique,
  -- An argon2id hash with its salt and parameters.
  password_hash text,
  create_time timestamptz not null,
  check ((kind = 'customer') = (email is not null and password_hash is not null))
);

create index users_guests on users (create_time) where kind = 'guest';

create table user_roles (
  user_id text not null references users (id),
  role text not null check (role in ('admin', 'support', 'warehouse', 'courier')),
  primary key (user_id, role)
);

create table sessions (
  id text primary key,
  user_id text not null references users (id),
  create_time timestamptz not null,
  refresh_time timestamptz not null,
  expire_time timestamptz not null,
  -- When it was ended before its time.
  revoke_time timestamptz,
  -- How often its tokens were refreshed. The refresh token of this generation is the good one.
  generation int not null default 0,
  -- The request that led to this generation, so that a lost answer can be asked for again.
  refresh_request_id text
);

create index sessions_by_user on sessions (user_id, id desc) where revoke_time is null;
create index sessions_by_user_of_any_state on sessions (user_id);
create index sessions_by_expire_time on sessions (expire_time);

-- Every refresh token of a session, by its digest: a token that comes back after its use gives a thief away.
create table refresh_tokens (
  sha256 bytea primary key,
  session_id text not null references sessions (id) on delete cascade,
  generation int not null
);

create index refresh_tokens_by_session on refresh_tokens (session_id, generation);

create table signing_keys (
  id text primary key,
  -- The public half, base64url, as in a JSON Web Key.
  x text not null,
  -- The private half, base64url. This database is identity's alone.
  d text not null,
  create_time timestamptz not null,
  retire_time timestamptz
);

-- One key signs at a time, however many instances start at once.
create unique index signing_keys_one_active on signing_keys ((true)) where retire_time is null;
