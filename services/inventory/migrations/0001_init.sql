-- What there is of each SKU. The constraints are the last line of defence against selling what is not there.
create table stock (
  sku text primary key,
  on_hand bigint not null default 0 check (on_hand >= 0),
  reserved bigint not null default 0 check (reserved >= 0),
  update_time timestamptz not null,
  constraint stock_reserved_within_on_hand check (reserved <= on_hand)
);

create table reservations (
  id text primary key,
  reference text not null,
  state text not null check (state in ('ACTIVE', 'COMMITTED', 'RELEASED', 'EXPIRED')),
  expire_time timestamptz not null,
  create_time timestamptz not null,
  update_time timestamptz not null
);

-- The sweep looks for active ones whose time is up; the others are for ever and must cost it nothing.
create index reservations_active_by_expire_time on reservations (expire_time) where state = 'ACTIVE';

create table reservation_lines (
  reservation_id text not null references reservations (id),
  position int not null,
  sku text not null references stock (sku),
  quantity bigint not null check (quantity > 0),
  primary key (reservation_id, position),
  unique (reservation_id, sku)
);

-- Every change of a stock, for ever: the sums of the deltas are the stock.
create table movements (
  id text primary key,
  sku text not null references stock (sku),
  kind text not null check (kind in ('ADJUSTED', 'RESERVED', 'COMMITTED', 'RELEASED', 'EXPIRED')),
  on_hand_delta bigint not null,
  reserved_delta bigint not null,
  reference text not null,
  create_time timestamptz not null
);

create index movements_by_sku on movements (sku, id desc);
