-- The network: where goods are handed on, and what carries them. Data, not code: the service reads it at its start, and
-- again every minute. An empty depot stands for the address.

create table depots (
  id text primary key check (id ~ '^[a-z][a-z-]{0,39}$'),
  title text not null,
  central boolean not null default false
);

-- Goods leave from one depot, and come back to it.
create unique index depots_one_central on depots (central) where central;

-- Where an address is: how far from the depot that serves it, which is the nearest.
create table zones (
  id text primary key check (id ~ '^[a-z][a-z-]{0,39}$'),
  title text not null,
  depot text not null references depots (id),
  distance text not null check (distance in ('CITY', 'REGION', 'NEIGHBOUR', 'EUROPE'))
);

-- Which addresses are in a zone: of all prefixes of a postal code that are given for its country, the longest holds. A
-- country without one is not served.
create table zone_areas (
  country_code text not null check (country_code ~ '^[A-Z]{2}$'),
  postal_prefix text not null,
  zone text not null references zones (id),
  primary key (country_code, postal_prefix)
);

create table vehicles (
  id text primary key check (id ~ '^[a-z][a-z0-9-]{0,39}$'),
  kind text not null check (kind in ('VAN', 'BIKE')),
  depot text not null references depots (id),
  -- The depot it goes to; null for one that goes round to addresses.
  to_depot text references depots (id),
  capacity_grams int not null check (capacity_grams > 0),
  capacity_ml int not null check (capacity_ml > 0),
  -- How much of each tour standard parcels leave to express ones.
  express_percent int not null default 20 check (express_percent between 0 and 90),
  -- When its tours leave each day, in minutes after midnight UTC, in ascending order.
  departures int[] not null check (cardinality(departures) between 1 and 48),
  -- How long a tour takes, to its last stop.
  ride_minutes int not null check (ride_minutes between 1 and 2880)
);

-- Which vehicle goes to the address: that of the first rule which a parcel fits.
create table sorting_rules (
  position int primary key,
  vehicle text not null check (vehicle in ('VAN', 'BIKE')),
  distances text[] not null,
  max_weight_grams int not null check (max_weight_grams > 0),
  max_length_mm int not null check (max_length_mm > 0),
  max_volume_ml int not null check (max_volume_ml > 0)
);

create table sorting_settings (
  one_row boolean primary key default true check (one_row),
  -- What goods are packed to; a unit beyond it is a parcel of its own. Girth: length + 2 × (width + height).
  max_parcel_grams int not null check (max_parcel_grams > 0),
  max_parcel_ml int not null check (max_parcel_ml > 0),
  max_girth_mm int not null check (max_girth_mm > 0),
  -- How long a depot takes between a parcel's coming and its leaving.
  handling_minutes int not null check (handling_minutes >= 0),
  -- How far ahead tours are filled.
  max_days_ahead int not null check (max_days_ahead between 1 and 60)
);

insert into depots (id, title, central) values
  ('frankfurt', 'Frankfurt', true),
  ('berlin', 'Berlin', false),
  ('hamburg', 'Hamburg', false),
  ('munich', 'Munich', false);

insert into zones (id, title, depot, distance) values
  ('frankfurt-city', 'Frankfurt', 'frankfurt', 'CITY'),
  ('berlin-city', 'Berlin', 'berlin', 'CITY'),
  ('hamburg-city', 'Hamburg', 'hamburg', 'CITY'),
  ('munich-city', 'Munich', 'munich', 'CITY'),
  ('centre', 'Germany, the centre and the west', 'frankfurt', 'REGION'),
  ('east', 'Germany, the east', 'berlin', 'REGION'),
  ('north', 'Germany, the north', 'hamburg', 'REGION'),
  ('south', 'Germany, the south', 'munich', 'REGION'),
  ('west-neighbours', 'Belgium, France, Luxembourg, the Netherlands', 'frankfurt', 'NEIGHBOUR'),
  ('east-neighbours', 'Czechia and Poland', 'berlin', 'NEIGHBOUR'),
  ('north-neighbours', 'Denmark', 'hamburg', 'NEIGHBOUR'),
  ('south-neighbours', 'Austria, Liechtenstein, Switzerland', 'munich', 'NEIGHBOUR'),
  ('west-europe', 'Ireland, Portugal, Spain', 'frankfurt', 'EUROPE'),
  ('east-europe', 'The Baltic states, Hungary, Romania, Slovakia', 'berlin', 'EUROPE'),
  ('north-europe', 'Finland, Norway, Sweden', 'hamburg', 'EUROPE'),
  ('south-europe', 'Croatia, Italy, Slovenia', 'munich', 'EUROPE');

insert into zone_areas (country_code, postal_prefix, zone)
select 'DE', prefix, zone from (values
  ('60', 'frankfurt-city'), ('10', 'berlin-city'), ('12', 'berlin-city'), ('13', 'berlin-city'),
  ('20', 'hamburg-city'), ('22', 'hamburg-city'), ('80', 'munich-city'), ('81', 'munich-city'),
  ('', 'centre'), ('0', 'east'), ('1', 'east'), ('2', 'north'), ('3', 'north'), ('7', 'south'), ('8', 'south'), ('9', 'south')
) as area (prefix, zone);

insert into zone_areas (country_code, postal_prefix, zone)
select unnest(countries), '', zone from (values
  ('{BE,FR,LU,NL}'::text[], 'west-neighbours'), ('{CZ,PL}', 'east-neighbours'), ('{DK}', 'north-neighbours'),
  ('{AT,CH,LI}', 'south-neighbours'), ('{ES,IE,PT}', 'west-europe'), ('{EE,HU,LT,LV,RO,SK}', 'east-europe'),
  ('{FI,NO,SE}', 'north-europe'), ('{HR,IT,SI}', 'south-europe')
) as area (countries, zone);

-- Between the central depot and each of the others, both ways.
insert into vehicles (id, kind, depot, to_depot, capacity_grams, capacity_ml, departures, ride_minutes)
select 'van-' || ways.depot || '-' || ways.to_depot || '-' || n, 'VAN', ways.depot, ways.to_depot, 1400000, 14000000,
  array[240 + n * 20, 720 + n * 20, 1200 + n * 20], ways.minutes
from (values
  ('frankfurt', 'berlin', 360), ('frankfurt', 'hamburg', 330), ('frankfurt', 'munich', 270),
  ('berlin', 'frankfurt', 360), ('hamburg', 'frankfurt', 330), ('munich', 'frankfurt', 270)
) as ways (depot, to_depot, minutes), generate_series(1, 3) as n;

-- Round to addresses.
insert into vehicles (id, kind, depot, capacity_grams, capacity_ml, departures, ride_minutes)
select 'van-' || depots.id || '-' || n, 'VAN', depots.id, 1200000, 12000000, array[360 + n * 15, 780 + n * 15], 300
from depots, generate_series(1, 6) as n;

insert into vehicles (id, kind, depot, capacity_grams, capacity_ml, departures, ride_minutes)
select 'bike-' || depots.id || '-' || n, 'BIKE', depots.id, 120000, 900000,
  array[420 + n * 10, 600 + n * 10, 780 + n * 10, 960 + n * 10], 120
from depots, generate_series(1, 6) as n;

insert into sorting_rules (position, vehicle, distances, max_weight_grams, max_length_mm, max_volume_ml) values
  (1, 'BIKE', '{CITY}', 8000, 800, 80000),
  (2, 'VAN', '{CITY,REGION,NEIGHBOUR,EUROPE}', 400000, 3000, 4000000);

insert into sorting_settings (max_parcel_grams, max_parcel_ml, max_girth_mm, handling_minutes, max_days_ahead)
values (30000, 120000, 3600, 30, 28);

-- What a vehicle does once a day: the tour that is the number-th of its departures. Made when the first parcel takes room.
-- The constraints are the last line of defence against taking more than there is.
create table tours (
  id text primary key,
  vehicle text not null references vehicles (id),
  day date not null,
  number int not null,
  depart_time timestamptz not null,
  capacity_grams int not null,
  capacity_ml int not null,
  taken_grams int not null default 0,
  taken_ml int not null default 0,
  unique (vehicle, day, number),
  constraint tours_within_weight check (taken_grams between 0 and capacity_grams),
  constraint tours_within_volume check (taken_ml between 0 and capacity_ml)
);

create table shipments (
  id text primary key,
  order_id text not null,
  -- Empty when the goods go to the buyer.
  return_id text not null default '',
  customer_id text not null,
  direction text not null check (direction in ('OUTBOUND', 'RETURN')),
  -- Follows from those of its parcels.
  state text not null check (state in ('BOOKED', 'IN_TRANSIT', 'DELIVERED', 'RETURNED', 'CANCELLED')),
  speed text not null check (speed in ('STANDARD', 'EXPRESS')),
  zone text not null references zones (id),
  -- The zone's, at the time of booking.
  depot text not null references depots (id),
  -- null once it was erased.
  address jsonb,
  -- When it is expected as long as no tour says so better.
  promised_time timestamptz not null,
  -- One more with every change.
  version int not null default 1,
  -- When its parcels are to be given their tours; null once they have them, or need none.
  sort_due_time timestamptz,
  create_time timestamptz not null,
  update_time timestamptz not null,
  -- The request that booked it; its hash goes with the address, of which it was made.
  principal text not null,
  request_id text not null,
  request_sha256 bytea,
  -- The request that called it off.
  cancel_principal text,
  cancel_request_id text,
  constraint shipments_one_a_way unique (order_id, return_id),
  constraint shipments_by_request unique (principal, request_id),
  constraint shipments_by_cancel_request unique (cancel_principal, cancel_request_id)
);

create index shipments_by_customer on shipments (customer_id, id desc);
create index shipments_to_sort on shipments (speed, sort_due_time) where sort_due_time is not null;
create index shipments_under_way on shipments (state, id desc) where state in ('BOOKED', 'IN_TRANSIT');

create table parcels (
  id text primary key,
  shipment_id text not null references shipments (id),
  position int not null,
  state text not null check (state in
    ('BOOKED', 'SORTED', 'LOADED', 'OUT_FOR_DELIVERY', 'FAILED', 'DELIVERED', 'RETURNED', 'CANCELLED')),
  skus text[] not null,
  quantities bigint[] not null,
  weight_grams int not null,
  volume_ml int not null,
  -- Its longest side, as far as sizes are known.
  length_mm int not null,
  -- null as long as it has no tours.
  expected_time timestamptz,
  unique (shipment_id, position)
);

create table parcel_legs (
  parcel_id text not null references parcels (id),
  position int not null,
  -- Empty for the address.
  from_depot text not null,
  to_depot text not null,
  -- The depot in whose list the parcel stands for this leg: where it leaves, or where it comes to from an address.
  depot text not null references depots (id),
  vehicle text not null check (vehicle in ('VAN', 'BIKE')),
  tour_id text not null references tours (id),
  depart_time timestamptz not null,
  -- Whether the parcel is not where it ends.
  open boolean not null default true,
  primary key (parcel_id, position)
);

create index parcel_legs_by_depot on parcel_legs (depot, open, depart_time, parcel_id);

create table scans (
  parcel_id text not null references parcels (id),
  kind text not null check (kind in ('SORTED', 'LOADED', 'OUT_FOR_DELIVERY', 'DELIVERED', 'FAILED', 'RETURNED')),
  scan_time timestamptz not null,
  record_time timestamptz not null,
  depot text not null,
  note text not null,
  primary key (parcel_id, kind, scan_time)
);

-- What shipments came to, for 30 days. A transaction's rows are read once no older one can add any: in the order of
-- (xid, seq) none ever comes before one that was read.
create table shipment_events (
  xid xid8 not null default pg_current_xact_id(),
  seq bigint not null generated always as identity,
  id text not null,
  shipment_id text not null references shipments (id),
  state text not null,
  -- Units in parcels that came back undelivered.
  returned_skus text[] not null default '{}',
  returned_quantities bigint[] not null default '{}',
  event_time timestamptz not null,
  primary key (xid, seq)
);

-- The last event that was swept: whoever read only up to one before it has missed some.
create table shipment_events_swept (
  one_row boolean primary key default true check (one_row),
  xid xid8 not null,
  seq bigint not null
);

insert into shipment_events_swept (xid, seq) values ('0', 0);

-- What was asked to be erased, by request: what came of it so far.
create table erasures (
  principal text not null,
  request_id text not null,
  customer_id text not null,
  erased_count bigint not null,
  create_time timestamptz not null,
  primary key (principal, request_id)
);
