-- Sold units may come back, never more than were sold: what is sold of a line is quantity - restocked_quantity.
alter table reservation_lines
  add column restocked_quantity bigint not null default 0,
  add constraint reservation_lines_restocked_within_quantity check (restocked_quantity between 0 and quantity);

-- The requests that took units back, for as long as the reservation: none ever takes effect a second time.
create table restocks (
  principal text not null,
  request_id text not null,
  request_sha256 bytea not null,
  reservation_id text not null references reservations (id),
  -- restocked_quantity of each line, by position, as it was after this one: what the request was answered with.
  restocked_quantities bigint[] not null,
  create_time timestamptz not null,
  primary key (principal, request_id)
);

alter table movements
  drop constraint movements_kind_check,
  add constraint movements_kind_check
    check (kind in ('ADJUSTED', 'RESERVED', 'COMMITTED', 'RELEASED', 'EXPIRED', 'RESTOCKED'));
