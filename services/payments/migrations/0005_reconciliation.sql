-- The payment gateway's own record of each authorization, kept up from its list of transactions, and set right from the
-- record itself wherever the two books were found to differ.
create table gateway_records (
  provider text not null,
  authorization_reference text not null,
  status text not null check (status in ('AUTHORIZED', 'CAPTURED', 'VOIDED', 'EXPIRED')),
  currency text not null,
  amount bigint not null,
  captured bigint not null,
  refunded bigint not null,
  -- Whether the record itself was read. What the list tells of it from then on may be in it already, so nothing is added:
  -- it is read again.
  is_read boolean not null default false,
  primary key (provider, authorization_reference)
);

-- How far the comparison with a payment gateway has come. Whoever does it holds the lease, on this database's clock, and
-- writes under its fence.
create table reconciliations (
  provider text primary key,
  -- Where in the payment gateway's list; null before its first page.
  gateway_cursor text,
  -- Up to which change of ours payments were compared.
  books_time timestamptz not null default '1970-01-01Z',
  books_id text not null default '',
  lease_until timestamptz not null,
  fence bigint not null
);

-- What was seen to differ and is to be looked at closely once what is under way has had its time. Every payment and
-- record that is not here, and whose last change was compared, agree.
create table suspects (
  provider text not null,
  -- The payment; or the authorization, where no payment of ours is known to have it.
  subject text not null,
  is_payment boolean not null,
  next_look_time timestamptz not null,
  primary key (provider, subject)
);

create index suspects_by_next_look_time on suspects (provider, next_look_time);
create index payments_by_update_time on payments (provider, update_time, id);
