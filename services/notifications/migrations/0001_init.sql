-- A mail to one person. All times are by the database's clock.
create table notifications (
  id text collate "C" primary key,
  -- Who asked for it: a copy of that request is known by the first two, and another request by the third.
  method text not null,
  request_id text not null,
  -- SHA-256 of the request; empty once erased, since whoever guesses the request could check the guess.
  request_hash bytea not null,

  kind text not null check (kind in ('ORDER_CONFIRMATION', 'SHIPPED', 'DELIVERED', 'REFUND')),
  order_id text collate "C" not null,
  -- Which shipment or refund of the order; empty when it is about the order itself.
  about text collate "C" not null,
  customer_id text collate "C" not null,

  -- Empty once erased, both of them. The letter is the request as its contract encodes it, without recipient and id.
  email text not null,
  letter bytea not null,
  -- The header Message-ID without its brackets: the same at every try.
  message_id text not null,

  state text not null check (state in ('QUEUED', 'SENT', 'FAILED', 'ERASED')),
  -- Rises with every claim; who claimed it earlier has no say in how it failed.
  attempts int not null default 0,
  backoff_ms int not null default 0,
  last_error text not null default '',
  next_attempt_time timestamptz(3),
  -- Until when one process is sending it; null when none does.
  lease_until timestamptz(3),
  -- A try that fails after this is the last.
  give_up_time timestamptz(3) not null,
  create_time timestamptz(3) not null default now(),
  send_time timestamptz(3),

  constraint notifications_request_once unique (method, request_id),
  constraint notifications_one_each unique (order_id, kind, about),
  constraint notifications_due check ((state = 'QUEUED') = (next_attempt_time is not null)),
  constraint notifications_sent check (state <> 'SENT' or send_time is not null),
  constraint notifications_erased check (
    state <> 'ERASED' or (email = '' and length(letter) = 0 and length(request_hash) = 0 and last_error = ''))
);

create index notifications_by_customer on notifications (customer_id, id);
create index notifications_by_state on notifications (state, id desc);
-- Those that wait are few; those that are sent must cost them nothing.
create index notifications_due on notifications (next_attempt_time) where state = 'QUEUED';

-- Whose data is erased: what is still asked for them is written down without address and words, and not sent.
create table erased_customers (
  customer_id text collate "C" primary key,
  erase_time timestamptz(3) not null default now()
);
