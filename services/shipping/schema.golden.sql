-- What the migrations of shipping come to. Not run by anybody; npm run golden writes it anew.

create table depots (
  id text not null,
  title text not null,
  central boolean not null default false,
  constraint depots_pkey PRIMARY KEY (id),
  constraint depots_id_check CHECK (id ~ '^[a-z][a-z-]{0,39}$'::text)
);
CREATE UNIQUE INDEX depots_one_central ON depots USING btree (central) WHERE central;

create table erased_records (
  request_id text not null,
  place text not null,
  customer_id text not null,
  erased_count bigint not null default 0,
  constraint erased_records_pkey PRIMARY KEY (request_id, place)
);

create table once_requests (
  method text not null,
  principal text not null,
  request_id text not null,
  request_sha256 bytea not null,
  response bytea not null,
  create_time timestamptz not null,
  subject text,
  constraint once_requests_pkey PRIMARY KEY (method, principal, request_id)
);
CREATE INDEX once_requests_create_time ON once_requests USING btree (create_time);
CREATE INDEX once_requests_subject ON once_requests USING btree (subject) WHERE subject IS NOT NULL;

create table parcel_legs (
  parcel_id text not null,
  position integer not null,
  from_depot text not null,
  to_depot text not null,
  depot text not null,
  vehicle text not null,
  tour_id text not null,
  depart_time timestamptz not null,
  open boolean not null default true,
  constraint parcel_legs_pkey PRIMARY KEY (parcel_id, "position"),
  constraint parcel_legs_depot_fkey FOREIGN KEY (depot) REFERENCES depots(id),
  constraint parcel_legs_parcel_id_fkey FOREIGN KEY (parcel_id) REFERENCES parcels(id),
  constraint parcel_legs_tour_id_fkey FOREIGN KEY (tour_id) REFERENCES tours(id),
  constraint parcel_legs_vehicle_check CHECK (vehicle = ANY (ARRAY['VAN'::text, 'BIKE'::text]))
);
CREATE INDEX parcel_legs_by_depot ON parcel_legs USING btree (depot, open, depart_time, parcel_id);

create table parcels (
  id text not null,
  shipment_id text not null,
  position integer not null,
  state text not null,
  skus text[] not null,
  quantities bigint[] not null,
  weight_grams integer not null,
  volume_ml integer not null,
  length_mm integer not null,
  expected_time timestamptz,
  constraint parcels_pkey PRIMARY KEY (id),
  constraint parcels_shipment_id_position_key UNIQUE (shipment_id, "position"),
  constraint parcels_shipment_id_fkey FOREIGN KEY (shipment_id) REFERENCES shipments(id),
  constraint parcels_state_check CHECK (state = ANY (ARRAY['BOOKED'::text, 'SORTED'::text, 'LOADED'::text, 'OUT_FOR_DELIVERY'::text, 'FAILED'::text, 'DELIVERED'::text, 'RETURNED'::text, 'CANCELLED'::text]))
);

create table scans (
  parcel_id text not null,
  kind text not null,
  scan_time timestamptz not null,
  record_time timestamptz not null,
  depot text not null,
  note text not null,
  constraint scans_pkey PRIMARY KEY (parcel_id, kind, scan_time),
  constraint scans_parcel_id_fkey FOREIGN KEY (parcel_id) REFERENCES parcels(id),
  constraint scans_kind_check CHECK (kind = ANY (ARRAY['SORTED'::text, 'LOADED'::text, 'OUT_FOR_DELIVERY'::text, 'DELIVERED'::text, 'FAILED'::text, 'RETURNED'::text]))
);

create table schema_migrations (
  scope text not null,
  name text not null,
  checksum text not null,
  apply_time timestamptz not null default now(),
  constraint schema_migrations_pkey PRIMARY KEY (scope, name)
);

create table sealing_key (
  one boolean not null default true,
  key bytea not null,
  constraint sealing_key_pkey PRIMARY KEY (one),
  constraint sealing_key_key_check CHECK (length(key) = 32),
  constraint sealing_key_one_check CHECK (one)
);

create table shipment_events (
  xid xid8 not null default pg_current_xact_id(),
  seq bigint not null generated always as identity,
  id text not null,
  shipment_id text not null,
  state text not null,
  returned_skus text[] not null default '{}'::text[],
  returned_quantities bigint[] not null default '{}'::bigint[],
  event_time timestamptz not null,
  constraint shipment_events_pkey PRIMARY KEY (xid, seq),
  constraint shipment_events_shipment_id_fkey FOREIGN KEY (shipment_id) REFERENCES shipments(id)
);

create table shipment_events_swept (
  one_row boolean not null default true,
  xid xid8 not null,
  seq bigint not null,
  constraint shipment_events_swept_pkey PRIMARY KEY (one_row),
  constraint shipment_events_swept_one_row_check CHECK (one_row)
);

create table shipments (
  id text not null,
  order_id text not null,
  return_id text not null default ''::text,
  customer_id text not null,
  direction text not null,
  state text not null,
  speed text not null,
  zone text not null,
  depot text not null,
  address jsonb,
  promised_time timestamptz not null,
  version integer not null default 1,
  sort_due_time timestamptz,
  create_time timestamptz not null,
  update_time timestamptz not null,
  principal text not null,
  request_id text not null,
  request_sha256 bytea,
  cancel_principal text,
  cancel_request_id text,
  constraint shipments_pkey PRIMARY KEY (id),
  constraint shipments_by_cancel_request UNIQUE (cancel_principal, cancel_request_id),
  constraint shipments_by_request UNIQUE (principal, request_id),
  constraint shipments_one_a_way UNIQUE (order_id, return_id),
  constraint shipments_depot_fkey FOREIGN KEY (depot) REFERENCES depots(id),
  constraint shipments_zone_fkey FOREIGN KEY (zone) REFERENCES zones(id),
  constraint shipments_direction_check CHECK (direction = ANY (ARRAY['OUTBOUND'::text, 'RETURN'::text])),
  constraint shipments_speed_check CHECK (speed = ANY (ARRAY['STANDARD'::text, 'EXPRESS'::text])),
  constraint shipments_state_check CHECK (state = ANY (ARRAY['BOOKED'::text, 'IN_TRANSIT'::text, 'DELIVERED'::text, 'RETURNED'::text, 'CANCELLED'::text]))
);
CREATE INDEX shipments_by_customer ON shipments USING btree (customer_id, id DESC);
CREATE INDEX shipments_to_sort ON shipments USING btree (speed, sort_due_time) WHERE sort_due_time IS NOT NULL;
CREATE INDEX shipments_under_way ON shipments USING btree (state, id DESC) WHERE state = ANY (ARRAY['BOOKED'::text, 'IN_TRANSIT'::text]);

create table sorting_rules (
  position integer not null,
  vehicle text not null,
  distances text[] not null,
  max_weight_grams integer not null,
  max_length_mm integer not null,
  max_volume_ml integer not null,
  constraint sorting_rules_pkey PRIMARY KEY ("position"),
  constraint sorting_rules_max_length_mm_check CHECK (max_length_mm > 0),
  constraint sorting_rules_max_volume_ml_check CHECK (max_volume_ml > 0),
  constraint sorting_rules_max_weight_grams_check CHECK (max_weight_grams > 0),
  constraint sorting_rules_vehicle_check CHECK (vehicle = ANY (ARRAY['VAN'::text, 'BIKE'::text]))
);

create table sorting_settings (
  one_row boolean not null default true,
  max_parcel_grams integer not null,
  max_parcel_ml integer not null,
  max_girth_mm integer not null,
  handling_minutes integer not null,
  max_days_ahead integer not null,
  constraint sorting_settings_pkey PRIMARY KEY (one_row),
  constraint sorting_settings_handling_minutes_check CHECK (handling_minutes >= 0),
  constraint sorting_settings_max_days_ahead_check CHECK (max_days_ahead >= 1 AND max_days_ahead <= 60),
  constraint sorting_settings_max_girth_mm_check CHECK (max_girth_mm > 0),
  constraint sorting_settings_max_parcel_grams_check CHECK (max_parcel_grams > 0),
  constraint sorting_settings_max_parcel_ml_check CHECK (max_parcel_ml > 0),
  constraint sorting_settings_one_row_check CHECK (one_row)
);

create table tariffs (
  distance text not null,
  speed text not null,
  title text not null,
  base_price bigint not null,
  included_grams integer not null,
  step_price bigint not null,
  step_grams integer not null,
  grams_per_litre integer not null,
  free_from_subtotal bigint,
  min_days integer not null,
  max_days integer not null,
  constraint tariffs_pkey PRIMARY KEY (distance, speed),
  constraint tariffs_base_price_check CHECK (base_price >= 0),
  constraint tariffs_days CHECK (max_days >= min_days),
  constraint tariffs_distance_check CHECK (distance = ANY (ARRAY['CITY'::text, 'REGION'::text, 'NEIGHBOUR'::text, 'EUROPE'::text])),
  constraint tariffs_free_from_subtotal_check CHECK (free_from_subtotal >= 0),
  constraint tariffs_grams_per_litre_check CHECK (grams_per_litre >= 0),
  constraint tariffs_included_grams_check CHECK (included_grams >= 0),
  constraint tariffs_min_days_check CHECK (min_days >= 0),
  constraint tariffs_speed_check CHECK (speed = ANY (ARRAY['STANDARD'::text, 'EXPRESS'::text])),
  constraint tariffs_step_grams_check CHECK (step_grams > 0),
  constraint tariffs_step_price_check CHECK (step_price >= 0),
  constraint tariffs_title_check CHECK (title <> ''::text)
);

create table tours (
  id text not null,
  vehicle text not null,
  day date not null,
  number integer not null,
  depart_time timestamptz not null,
  capacity_grams integer not null,
  capacity_ml integer not null,
  taken_grams integer not null default 0,
  taken_ml integer not null default 0,
  constraint tours_pkey PRIMARY KEY (id),
  constraint tours_vehicle_day_number_key UNIQUE (vehicle, day, number),
  constraint tours_vehicle_fkey FOREIGN KEY (vehicle) REFERENCES vehicles(id),
  constraint tours_within_volume CHECK (taken_ml >= 0 AND taken_ml <= capacity_ml),
  constraint tours_within_weight CHECK (taken_grams >= 0 AND taken_grams <= capacity_grams)
);

create table vehicles (
  id text not null,
  kind text not null,
  depot text not null,
  to_depot text,
  capacity_grams integer not null,
  capacity_ml integer not null,
  express_percent integer not null default 20,
  departures integer[] not null,
  ride_minutes integer not null,
  constraint vehicles_pkey PRIMARY KEY (id),
  constraint vehicles_depot_fkey FOREIGN KEY (depot) REFERENCES depots(id),
  constraint vehicles_to_depot_fkey FOREIGN KEY (to_depot) REFERENCES depots(id),
  constraint vehicles_capacity_grams_check CHECK (capacity_grams > 0),
  constraint vehicles_capacity_ml_check CHECK (capacity_ml > 0),
  constraint vehicles_departures_check CHECK (cardinality(departures) >= 1 AND cardinality(departures) <= 48),
  constraint vehicles_express_percent_check CHECK (express_percent >= 0 AND express_percent <= 90),
  constraint vehicles_id_check CHECK (id ~ '^[a-z][a-z0-9-]{0,39}$'::text),
  constraint vehicles_kind_check CHECK (kind = ANY (ARRAY['VAN'::text, 'BIKE'::text])),
  constraint vehicles_ride_minutes_check CHECK (ride_minutes >= 1 AND ride_minutes <= 2880)
);

create table zone_areas (
  country_code text not null,
  postal_prefix text not null,
  zone text,
  constraint zone_areas_pkey PRIMARY KEY (country_code, postal_prefix),
  constraint zone_areas_zone_fkey FOREIGN KEY (zone) REFERENCES zones(id),
  constraint zone_areas_country_code_check CHECK (country_code ~ '^[A-Z]{2}$'::text)
);

create table zones (
  id text not null,
  title text not null,
  depot text not null,
  distance text not null,
  constraint zones_pkey PRIMARY KEY (id),
  constraint zones_depot_fkey FOREIGN KEY (depot) REFERENCES depots(id),
  constraint zones_distance_check CHECK (distance = ANY (ARRAY['CITY'::text, 'REGION'::text, 'NEIGHBOUR'::text, 'EUROPE'::text])),
  constraint zones_id_check CHECK (id ~ '^[a-z][a-z-]{0,39}$'::text)
);
