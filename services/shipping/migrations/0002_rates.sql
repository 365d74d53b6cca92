-- What sending costs, and how long it takes, by distance and speed. Amounts are in the smallest unit of the shop's
-- currency. What goods weigh for it is the greater of their weight and of what their volume counts for.
create table tariffs (
  distance text not null check (distance in ('CITY', 'REGION', 'NEIGHBOUR', 'EUROPE')),
  speed text not null check (speed in ('STANDARD', 'EXPRESS')),
  -- Its name for people.
  title text not null check (title <> ''),
  -- For goods of up to included_grams; and for each step_grams beyond them that are begun.
  base_price bigint not null check (base_price >= 0),
  included_grams int not null check (included_grams >= 0),
  step_price bigint not null check (step_price >= 0),
  step_grams int not null check (step_grams > 0),
  -- What a litre counts for.
  grams_per_litre int not null check (grams_per_litre >= 0),
  -- Goods that cost this much or more are sent for nothing; null when none are.
  free_from_subtotal bigint check (free_from_subtotal >= 0),
  min_days int not null check (min_days >= 0),
  max_days int not null,
  primary key (distance, speed),
  constraint tariffs_days check (max_days >= min_days)
);

insert into tariffs (
  distance, speed, title, base_price, included_grams, step_price, step_grams, grams_per_litre, free_from_subtotal,
  min_days, max_days)
values
  ('CITY', 'STANDARD', 'Standard', 490, 5000, 40, 1000, 200, 15000, 1, 2),
  ('REGION', 'STANDARD', 'Standard', 490, 5000, 50, 1000, 200, 15000, 2, 4),
  ('NEIGHBOUR', 'STANDARD', 'Standard', 990, 5000, 90, 1000, 200, null, 3, 5),
  ('EUROPE', 'STANDARD', 'Standard', 1490, 5000, 140, 1000, 200, null, 4, 8),
  ('CITY', 'EXPRESS', 'Express', 890, 2000, 80, 1000, 200, null, 1, 1),
  ('REGION', 'EXPRESS', 'Express', 1290, 2000, 100, 1000, 200, null, 1, 1),
  ('NEIGHBOUR', 'EXPRESS', 'Express', 2490, 2000, 190, 1000, 200, null, 1, 2),
  ('EUROPE', 'EXPRESS', 'Express', 3990, 2000, 290, 1000, 200, null, 2, 4);

-- Where the shop does not deliver, though it does in the country: an area without a zone. Islands beyond the reach of a
-- van, and places outside the customs union.
alter table zone_areas alter column zone drop not null;

insert into zone_areas (country_code, postal_prefix, zone) values
  ('DE', '27498', null),
  ('ES', '35', null), ('ES', '38', null), ('ES', '51', null), ('ES', '52', null),
  ('FR', '97', null), ('FR', '98', null),
  ('PT', '9', null),
  ('IT', '23041', null),
  ('NO', '917', null);
