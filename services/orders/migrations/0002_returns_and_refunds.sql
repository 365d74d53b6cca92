-- What is due to the buyer of a paid order is worked off by the same row, lease and fence as the order itself.
alter table orders
  -- Whether it is known that the cart holds nothing of the order any more. Of orders at rest it is.
  add column cart_cleared boolean not null default true,
  -- What will be given back: for all that is due, and for announced returns.
  add column promised bigint not null default 0,
  -- Returns that were announced and are not here yet.
  add column announced int not null default 0 check (announced >= 0),
  -- How many entries ever became due, and how many of them, the first ones, are worked off.
  add column dues int not null default 0,
  add column dues_settled int not null default 0;
update orders set cart_cleared = false where step <> 'done';
alter table orders alter column cart_cleared set default false;

alter table orders
  drop constraint orders_total,
  add constraint orders_total check (
    total = subtotal + shipping_price and refunded >= 0 and promised >= 0 and refunded + promised <= total),
  add constraint orders_dues check (dues_settled between 0 and dues and dues - dues_settled <= 32),
  -- Only of a paid order things come back, and one of which they did is not undone as a whole.
  add constraint orders_dues_of_state check (
    (dues = 0 and announced = 0 and promised = 0) or state in ('PAID', 'SHIPPED', 'COMPLETED')),
  drop constraint orders_step_of_state,
  add constraint orders_step_of_state check (
    case state
      when 'PENDING' then step in ('reserve_stock', 'authorize_payment', 'settle_payment', 'release_stock')
      when 'CONFIRMED' then step in ('clear_cart', 'capture_payment', 'commit_stock', 'reserve_again')
      when 'CANCELLING' then step in (
        'reserve_stock', 'authorize_payment', 'settle_payment', 'reserve_again',
        'void_payment', 'refund_payment', 'release_stock', 'restock')
      when 'REJECTED' then step = 'done'
      when 'CANCELLED' then step = 'done'
      -- What is due comes first, then the cart, then nothing.
      when 'PAID' then case when dues_settled < dues then step in ('restock', 'refund_payment')
        when cart_cleared then step = 'done' else step = 'clear_cart' end
      when 'SHIPPED' then case when dues_settled < dues then step in ('restock', 'refund_payment')
        when cart_cleared then step = 'done' else step = 'clear_cart' end
      when 'COMPLETED' then case when dues_settled < dues then step in ('restock', 'refund_payment')
        when cart_cleared then step = 'done' else step = 'clear_cart' end
      else false
    end);

alter table order_lines
  -- Units that were announced to come back, and are not here yet.
  add column announced_quantity bigint not null default 0 check (announced_quantity >= 0),
  add constraint order_lines_returnable check (announced_quantity + returned_quantity <= quantity);

-- Goods of an order that come back. Kept for ever.
create table order_returns (
  id text collate "C" primary key,
  order_id text collate "C" not null references orders (id),
  customer_id text collate "C" not null,
  state text not null check (state in ('REQUESTED', 'RECEIVED', 'REFUNDED')),
  -- What is given back for it; promised from the start.
  refund bigint not null check (refund >= 0),
  currency_code text not null,
  note text not null,
  -- Who announced it under which request_id, for ever: a copy announces nothing again.
  requested_by text collate "C" not null,
  request_id text not null,
  create_time timestamptz(3) not null default now(),
  update_time timestamptz(3) not null default now(),
  constraint order_returns_request_once unique (requested_by, request_id)
);

create index order_returns_by_order on order_returns (order_id, id desc);
create index order_returns_by_customer on order_returns (customer_id, id desc);
create index order_returns_by_state on order_returns (state, id desc);

create table order_return_lines (
  return_id text collate "C" not null references order_returns (id),
  position int not null,
  sku text not null,
  quantity bigint not null check (quantity > 0),
  primary key (return_id, position),
  unique (return_id, sku)
);

-- What became due to a buyer, in order and without gaps; never changed. Those up to orders.dues_settled are worked off.
create table order_dues (
  order_id text collate "C" not null references orders (id),
  seq int not null check (seq >= 1),
  -- A return is given back once.
  return_id text collate "C" unique references order_returns (id),
  amount bigint not null check (amount >= 0),
  -- Of money alone: who promised it under which request_id, for ever.
  requested_by text collate "C",
  request_id text,
  create_time timestamptz(3) not null default now(),
  primary key (order_id, seq),
  constraint order_dues_request_once unique (requested_by, request_id),
  constraint order_dues_money_alone check (
    (return_id is null) = (request_id is not null) and (request_id is null) = (requested_by is null)
    and (return_id is not null or amount > 0))
);
