-- What shipping wants to know when it is asked to send an order. Orders from before there were rates have none of it.
alter table orders
  -- Shipping's proof of what was quoted for sending these goods, `rate_…`.
  add column rate_id text not null default '';

-- One unit, packed, as the catalogue had it when the order was placed; 0 where the size is not known.
alter table order_lines
  add column weight_grams int not null default 0 check (weight_grams >= 0),
  add column length_mm int not null default 0 check (length_mm >= 0),
  add column width_mm int not null default 0 check (width_mm >= 0),
  add column height_mm int not null default 0 check (height_mm >= 0);
