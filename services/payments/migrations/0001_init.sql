create table payments (
  id text primary key,
  order_id text not null,
  customer_id text not null,
  state text not null check (state in ('PENDING', 'AUTHORIZED', 'DECLINED', 'CAPTURED', 'VOIDED', 'EXPIRED')),
  currency text not null,
  -- Minor units of the currency, all of them.
  amount bigint not null check (amount > 0),
  captured bigint not null default 0 check (captured between 0 and amount),
  refunded bigint not null default 0 check (refunded between 0 and captured),
  provider text not null,
  -- The payment gateway's ids of the authorization and of the capture.
  authorization_reference text,
  capture_reference text,
  decline_code text,
  expire_time timestamptz,
  -- The one operation on its way to the payment gateway. A second one waits for its outcome.
  pending_operation_id text,
  create_time timestamptz not null,
  update_time timestamptz not null
);

-- An order is never charged twice: a second live payment cannot be written.
create unique index payments_one_live_per_order on payments (order_id)
  where state in ('PENDING', 'AUTHORIZED', 'CAPTURED');
create index payments_by_order on payments (order_id, id desc);
create index payments_authorized_by_expire_time on payments (expire_time) where state = 'AUTHORIZED';
create unique index payments_by_authorization on payments (provider, authorization_reference);

-- What was asked of the payment gateway: written before it is asked, and completed with the answer. The id is the
-- idempotency key by which the payment gateway knows it, so asking again never does it twice.
create table operations (
  id text primary key,
  payment_id text not null references payments (id),
  kind text not null check (kind in ('AUTHORIZE', 'CAPTURE', 'VOID', 'REFUND')),
  principal text not null,
  request_id text not null,
  request_sha256 bytea not null,
  amount bigint not null,
  note text not null,
  state text not null check (state in ('PENDING', 'DONE', 'FAILED')),
  -- Of a failed one: what the payment gateway said.
  failure_code text,
  -- The payment gateway's id of what came to be.
  provider_reference text,
  create_time timestamptz not null,
  update_time timestamptz not null,
  -- Of a pending one: how often the settler has asked in vain, and when it asks next.
  attempts int not null default 0,
  next_try_time timestamptz not null,
  constraint operations_once unique (principal, kind, request_id)
);

create index operations_pending on operations (next_try_time) where state = 'PENDING';
create index operations_abandoned on operations (update_time, id) where failure_code = 'abandoned';

-- The books, in double entry; only ever added to. One pair of lines an operation, so that nothing is booked twice.
create table ledger_lines (
  operation_id text not null references operations (id),
  account text not null,
  currency text not null,
  debit bigint not null check (debit >= 0),
  credit bigint not null check (credit >= 0),
  create_time timestamptz not null,
  primary key (operation_id, account),
  check ((debit = 0) <> (credit = 0))
);

create index ledger_lines_by_account on ledger_lines (account, currency) include (debit, credit);

create function ledger_balanced() returns trigger language plpgsql as $$
begin
  if (select sum(debit) <> sum(credit) or count(distinct currency) <> 1
      from ledger_lines where operation_id = new.operation_id) then
    raise exception 'operation % does not balance', new.operation_id using errcode = 'check_violation';
  end if;
  return null;
end $$;

-- Checked when the transaction commits: whatever was written, debits equal credits.
create constraint trigger ledger_lines_balance after insert on ledger_lines
  deferrable initially deferred for each row execute function ledger_balanced();

create function ledger_append_only() returns trigger language plpgsql as $$
begin
  raise exception 'the ledger is only ever added to' using errcode = 'check_violation';
end $$;

create trigger ledger_lines_append_only before update or delete on ledger_lines
  for each row execute function ledger_append_only();

-- Events of payment gateways that were taken in.
create table webhook_events (
  provider text not null,
  event_id text not null,
  create_time timestamptz not null,
  primary key (provider, event_id)
);
