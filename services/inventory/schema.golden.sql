-- What the migrations of inventory come to. Not run by anybody; npm run golden writes it anew.

create table erased_records (
  request_id text not null,
  place text not null,
  customer_id text not null,
  erased_count bigint not null default 0,
  constraint erased_records_pkey PRIMARY KEY (request_id, place)
);

create table movements (
  id text not null,
  sku text not null,
  kind text not null,
  on_hand_delta bigint not null,
  reserved_delta bigint not null,
  reference text not null,
  create_time timestamptz not null,
  constraint movements_pkey PRIMARY KEY (id),
  constraint movements_sku_fkey FOREIGN KEY (sku) REFERENCES stock(sku),
  constraint movements_kind_check CHECK (kind = ANY (ARRAY['ADJUSTED'::text, 'RESERVED'::text, 'COMMITTED'::text, 'RELEASED'::text, 'EXPIRED'::text, 'RESTOCKED'::text]))
);
CREATE INDEX movements_by_sku ON movements USING btree (sku, id DESC);

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

create table reservation_lines (
  reservation_id text not null,
  position integer not null,
  sku text not null,
  quantity bigint not null,
  restocked_quantity bigint not null default 0,
  constraint reservation_lines_pkey PRIMARY KEY (reservation_id, "position"),
  constraint reservation_lines_reservation_id_sku_key UNIQUE (reservation_id, sku),
  constraint reservation_lines_reservation_id_fkey FOREIGN KEY (reservation_id) REFERENCES reservations(id),
  constraint reservation_lines_sku_fkey FOREIGN KEY (sku) REFERENCES stock(sku),
  constraint reservation_lines_quantity_check CHECK (quantity > 0),
  constraint reservation_lines_restocked_within_quantity CHECK (restocked_quantity >= 0 AND restocked_quantity <= quantity)
);

create table reservations (
  id text not null,
  reference text not null,
  state text not null,
  expire_time timestamptz not null,
  create_time timestamptz not null,
  update_time timestamptz not null,
  principal text,
  request_id text,
  request_sha256 bytea,
  settle_principal text,
  settle_request_id text,
  unknown_sku text,
  short_skus text[],
  available bigint[],
  constraint reservations_pkey PRIMARY KEY (id),
  constraint reservations_state_check CHECK (state = ANY (ARRAY['ACTIVE'::text, 'COMMITTED'::text, 'RELEASED'::text, 'EXPIRED'::text, 'REFUSED'::text]))
);
CREATE INDEX reservations_active_by_expire_time ON reservations USING btree (expire_time) WHERE state = 'ACTIVE'::text;
CREATE UNIQUE INDEX reservations_by_request ON reservations USING btree (principal, request_id);
CREATE UNIQUE INDEX reservations_by_settle_request ON reservations USING btree (settle_principal, state, settle_request_id);

create table restocks (
  principal text not null,
  request_id text not null,
  request_sha256 bytea not null,
  reservation_id text not null,
  restocked_quantities bigint[] not null,
  create_time timestamptz not null,
  constraint restocks_pkey PRIMARY KEY (principal, request_id),
  constraint restocks_reservation_id_fkey FOREIGN KEY (reservation_id) REFERENCES reservations(id)
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

create table stock (
  sku text not null,
  on_hand bigint not null default 0,
  reserved bigint not null default 0,
  update_time timestamptz not null,
  version bigint not null default 1,
  constraint stock_pkey PRIMARY KEY (sku),
  constraint stock_on_hand_check CHECK (on_hand >= 0),
  constraint stock_reserved_check CHECK (reserved >= 0),
  constraint stock_reserved_within_on_hand CHECK (reserved <= on_hand)
);
CREATE TRIGGER count_stock_change BEFORE UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION count_stock_change();

CREATE OR REPLACE FUNCTION public.count_stock_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  new.version := old.version + 1;
  return new;
end
$function$;
