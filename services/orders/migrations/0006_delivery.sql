-- Shipping brings the goods: a paid order is booked there, follows its shipment, and is undone only when that is called off.
alter table orders
  -- Whether shipping is asked to bring the goods. Orders that were paid before it could be stay as they are.
  add column delivers boolean not null default false,
  -- The shipment to the buyer; none once it is called off.
  add column shipment_id text;
alter table orders alter column delivers set default true;
update orders set delivers = true where step <> 'done' and state in ('PENDING', 'CONFIRMED');

alter table orders
  drop constraint orders_step_of_state,
  add constraint orders_step_of_state check (
    case
      when state = 'PENDING' then step in ('reserve_stock', 'authorize_payment', 'settle_payment', 'release_stock')
      when state = 'CONFIRMED' then step in ('clear_cart', 'capture_payment', 'commit_stock', 'reserve_again')
      when state = 'CANCELLING' then step in (
        'reserve_stock', 'authorize_payment', 'settle_payment', 'reserve_again', 'create_shipment', 'cancel_shipment',
        'void_payment', 'refund_payment', 'release_stock', 'restock')
      when state in ('REJECTED', 'CANCELLED') then step = 'done'
      -- The shipment comes first, for goods with a rate; then what is due, then the cart, then nothing.
      when state = 'PAID' and delivers and rate_id <> '' and shipment_id is null then step = 'create_shipment'
      when state in ('PAID', 'SHIPPED', 'COMPLETED') then case
        when dues_settled < dues then step in ('restock', 'refund_payment')
        when cart_cleared then step = 'done' else step = 'clear_cart' end
      else false
    end),
  -- No shipment is left over of what is undone: it has none, or it is being called off.
  add constraint orders_shipment check (
    case
      when step = 'create_shipment' then shipment_id is null
      when step = 'cancel_shipment' then shipment_id is not null
      when state in ('PAID', 'SHIPPED', 'COMPLETED') then true
      else shipment_id is null
    end);

-- The shipment that brings a return back; empty when there is none.
alter table order_returns add column shipment_id text not null default '';

-- What is done for orders besides, which no order waits for: mails, and the ways back of returns. One of a kind and subject,
-- for ever; tried until it is done.
create table order_errands (
  order_id text collate "C" not null references orders (id),
  kind text not null check (
    kind in ('mail_confirmation', 'mail_shipped', 'mail_delivered', 'mail_refund', 'fetch_return', 'leave_return')),
  -- The shipment, the refund's name or the return that it is about.
  subject text not null,
  amount bigint not null check (amount >= 0),
  create_time timestamptz(3) not null default now(),
  -- Null once it is done.
  next_attempt_time timestamptz(3) default now(),
  -- How often it was tried.
  attempts int not null default 0,
  last_error text not null default '',
  primary key (order_id, kind, subject)
);
create index order_errands_due on order_errands (kind, next_attempt_time) where next_attempt_time is not null;

-- How far the feed of shipping was taken in. One row; who holds it by the newest fence takes in what comes next.
create table shipment_feed (
  one boolean primary key default true check (one),
  resume_token text not null default '',
  fence bigint not null default 0,
  lease_until timestamptz(3)
);
