-- How often something secret was guessed wrong of late. Both halves of the key are digests under this service's sealing
-- key: nobody can tell from here which addresses were tried.
create table failed_attempts (
  -- Of which account: of an e-mail address, whether or not anybody has it, or of a user; empty for all.
  account text not null,
  -- From where: a device, a session, or a network address; empty for anywhere.
  origin text not null,
  -- So many, less what has drained off by update_time.
  level double precision not null,
  update_time timestamptz not null,
  -- From when on it has drained off whole, and can be forgotten.
  drain_time timestamptz not null,
  primary key (account, origin)
);

create index failed_attempts_by_drain_time on failed_attempts (drain_time);

-- What bears on who can act as whom. Rows are added, and forgotten by age or with the person; never changed.
create table security_events (
  id text primary key,
  kind text not null,
  create_time timestamptz not null,
  user_id text,
  session_id text,
  client_address text,
  -- Who did it, where that is not the user.
  actor text,
  role text,
  known_device boolean not null
);

create index security_events_by_user on security_events (user_id, id desc);
create index security_events_by_user_and_kind on security_events (user_id, kind, create_time);
create index security_events_by_create_time on security_events (create_time);

-- A key is published before it signs. Until now each signed from its making on.
alter table signing_keys add column sign_time timestamptz;
update signing_keys set sign_time = create_time;
alter table signing_keys alter column sign_time set default now(), alter column sign_time set not null;
