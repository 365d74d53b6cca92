-- Money that was set aside or taken for a payment which had been given up or let go by then is let go or given back
-- again, by operations of their own kinds: they change nothing of the payment.
alter table operations drop constraint operations_kind_check;
alter table operations add constraint operations_kind_check
  check (kind in ('AUTHORIZE', 'CAPTURE', 'VOID', 'REFUND', 'LATE_VOID', 'LATE_REFUND'));

-- Where our books and the payment gateway's differ, or did.
create table discrepancies (
  id text primary key,
  provider text not null,
  kind text not null
    check (kind in ('MISSING_AT_GATEWAY', 'MISSING_IN_BOOKS', 'AMOUNT_DIFFERS', 'STATE_DIFFERS')),
  -- REPAIRED by us; RESOLVED when a later look found it gone.
  state text not null check (state in ('OPEN', 'REPAIRED', 'RESOLVED')),
  -- Null for what is missing in our books.
  payment_id text references payments (id),
  -- The payment gateway's id of the authorization; null when neither side has any.
  authorization_reference text,
  currency text not null,
  -- Captured and not refunded, in minor units; and the state, as each side had it. Null for a side that has nothing.
  our_state text,
  our_kept bigint,
  gateway_state text,
  gateway_kept bigint,
  create_time timestamptz not null,
  update_time timestamptz not null
);

-- What is found again is the same discrepancy for as long as it is open.
create unique index discrepancies_open on discrepancies (provider, coalesce(payment_id, authorization_reference))
  where state = 'OPEN';

create index webhook_events_by_create_time on webhook_events (create_time);
