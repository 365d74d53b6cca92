-- An order, and in the same row its saga: what is done next (step), by whom (fence, lease) and when.
create table orders (
  id text collate "C" primary key,
  customer_id text collate "C" not null,
  -- What makes one press of the button one order, for as long as the order exists.
  request_id text not null,
  request_hash bytea not null,
  cart_id text not null,

  state text not null,
  step text not null,
  holds int not null check (holds >= 1),
  reservation_id text,
  payment_id text,
  rejection_reason text,
  rejection_message text,
  rejection_metadata jsonb,

  -- Rises with every claim; a write with an older one finds no row.
  fence bigint not null default 1,
  -- Until when one process works on the order; null when none does. By the database's clock, as all times here.
  lease_until timestamptz(3),
  next_attempt_time timestamptz(3),
  attempts int not null default 0,
  backoff_ms int not null default 0,
  last_error text not null default '',
  -- When the saga came to the present step.
  step_time timestamptz(3) not null default now(),
  -- How many entries the history has.
  version int not null,

  currency_code text not null,
  subtotal bigint not null check (subtotal >= 0),
  shipping_price bigint not null check (shipping_price >= 0),
  total bigint not null check (total > 0),
  refunded bigint not null default 0,
  email text not null,
  address jsonb not null,
  shipping_option_id text not null,
  shipping_option_title text not null,
  shipping_min_days int not null,
  shipping_max_days int not null,
  create_time timestamptz(3) not null default now(),
  update_time timestamptz(3) not null default now(),

  constraint orders_request_once unique (customer_id, request_id),
  constraint orders_total check (total = subtotal + shipping_price and refunded between 0 and total),
  constraint orders_step_of_state check (
    case state
      when 'PENDING' then step in ('reserve_stock', 'authorize_payment', 'settle_payment', 'release_stock')
      when 'CONFIRMED' then step in ('capture_payment', 'commit_stock', 'reserve_again')
      when 'PAID' then step in ('clear_cart', 'done')
      when 'CANCELLING' then step in (
        'reserve_stock', 'authorize_payment', 'settle_payment', 'reserve_again',
        'void_payment', 'refund_payment', 'release_stock')
      when 'SHIPPED' then step = 'done'
      when 'COMPLETED' then step = 'done'
      when 'REJECTED' then step = 'done'
      when 'CANCELLED' then step = 'done'
      else false
    end),
  constraint orders_accepted check (
    state not in ('CONFIRMED', 'PAID', 'SHIPPED', 'COMPLETED')
    or (reservation_id is not null and payment_id is not null)),
  constraint orders_rejected check (
    (rejection_reason is not null) = (state = 'REJECTED' or (state = 'PENDING' and step = 'release_stock'))),
  constraint orders_due check ((step = 'done') = (next_attempt_time is null))
);

create index orders_by_customer on orders (customer_id, id desc);

-- Orders under way are few; those at rest are for ever and must cost these nothing.
create index orders_due_by_time on orders (next_attempt_time) where step <> 'done';
create index orders_under_way_by_step_time on orders (step_time, id) where step <> 'done';

create table order_lines (
  order_id text collate "C" not null references orders (id),
  position int not null,
  sku text not null,
  title text not null,
  quantity bigint not null check (quantity > 0),
  unit_price bigint not null check (unit_price >= 0),
  line_total bigint not null check (line_total = unit_price * quantity),
  returned_quantity bigint not null default 0 check (returned_quantity between 0 and quantity),
  primary key (order_id, position),
  unique (order_id, sku)
);

-- Everything that happened to an order, in order, without gaps.
create table order_events (
  order_id text collate "C" not null references orders (id),
  seq int not null,
  time timestamptz(3) not null,
  state text not null,
  step text not null,
  actor text not null,
  note text not null,
  primary key (order_id, seq)
);
