-- What a person told of themselves, made when they first do. The row is what all changes of one person lock.
create table customers (
  id text collate "C" primary key,
  display_name text not null default '',
  phone text not null default '',
  language_code text not null default '',
  -- One of theirs; whoever deletes it takes it out here.
  default_address_id text collate "C",
  -- How often the profile was changed.
  version bigint not null default 0,
  create_time timestamptz not null,
  update_time timestamptz,
  -- When they wanted to be forgotten: from then on nothing new is kept of them, and the row stays to say so.
  erase_time timestamptz,
  constraint customers_erased check (
    erase_time is null
    or (display_name = '' and phone = '' and language_code = '' and default_address_id is null))
);

create table addresses (
  id text collate "C" primary key,
  customer_id text collate "C" not null references customers (id),
  label text not null,
  address jsonb not null,
  version bigint not null default 1,
  create_time timestamptz not null,
  update_time timestamptz not null
);

create index addresses_by_customer on addresses (customer_id, id desc);
