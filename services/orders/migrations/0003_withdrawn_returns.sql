-- A return that was announced can be withdrawn, as long as its goods are not here.
alter table orders
  -- Returns that were announced and withdrawn. They count among the returns and refunds that an order has in its life.
  add column withdrawn int not null default 0 check (withdrawn >= 0);

alter table order_returns
  drop constraint order_returns_state_check,
  add constraint order_returns_state_check check (state in ('REQUESTED', 'RECEIVED', 'REFUNDED', 'CANCELLED'));
