-- The erasure of a person's data in all of the shop: one a person, for ever. Ids, times and counts; nothing personal.
create table erasures (
  id text collate "C" primary key,
  customer_id text collate "C" not null unique references customers (id),
  state text not null check (state in ('RUNNING', 'VERIFYING', 'DONE')),
  -- Rises with every claim; a write with an older one finds no row.
  fence bigint not null default 0,
  -- Until when one process works on it, by the database's clock; null when none does.
  lease_until timestamptz,
  next_attempt_time timestamptz,
  create_time timestamptz not null,
  -- When the last access tokens have expired; null while RUNNING.
  verify_time timestamptz,
  done_time timestamptz,
  constraint erasures_verified check ((state = 'RUNNING') = (verify_time is null)),
  constraint erasures_due check ((state = 'DONE') = (next_attempt_time is null)),
  constraint erasures_done check ((state = 'DONE') = (done_time is not null))
);

-- Those that go on are few; those that are done must cost them nothing.
create index erasures_due on erasures (next_attempt_time) where state <> 'DONE';

create table erasure_services (
  erasure_id text collate "C" not null references erasures (id),
  service text not null,
  -- In which order they are shown.
  position int not null,
  -- How many rounds it has ended with nothing left: one, and another when the last access tokens have expired.
  rounds int not null default 0 check (rounds between 0 and 2),
  attempts int not null default 0,
  -- How often it was asked in the present round.
  tries int not null default 0,
  next_attempt_time timestamptz not null,
  last_error text not null default '',
  answer_time timestamptz,
  primary key (erasure_id, service)
);

-- What each answered last.
create table erasure_places (
  erasure_id text collate "C" not null,
  service text not null,
  position int not null,
  place text not null,
  erased_count bigint not null,
  left_count bigint not null,
  kept text not null,
  primary key (erasure_id, service, position),
  foreign key (erasure_id, service) references erasure_services (erasure_id, service)
);
