-- What the migrations of orders come to. Not run by anybody; npm run golden writes it anew.

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

create table order_dues (
  order_id text collate "C" not null,
  seq integer not null,
  return_id text collate "C",
  amount bigint not null,
  requested_by text collate "C",
  request_id text,
  create_time timestamptz(3) not null default now(),
  constraint order_dues_pkey PRIMARY KEY (order_id, seq),
  constraint order_dues_request_once UNIQUE (requested_by, request_id),
  constraint order_dues_return_id_key UNIQUE (return_id),
  constraint order_dues_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders(id),
  constraint order_dues_return_id_fkey FOREIGN KEY (return_id) REFERENCES order_returns(id),
  constraint order_dues_amount_check CHECK (amount >= 0),
  constraint order_dues_money_alone CHECK ((return_id IS NULL) = (request_id IS NOT NULL) AND (request_id IS NULL) = (requested_by IS NULL) AND (return_id IS NOT NULL OR amount > 0)),
  constraint order_dues_seq_check CHECK (seq >= 1)
);

create table order_errands (
  order_id text collate "C" not null,
  kind text not null,
  subject text not null,
  amount bigint not null,
  create_time timestamptz(3) not null default now(),
  next_attempt_time timestamptz(3) default now(),
  attempts integer not null default 0,
  last_error text not null default ''::text,
  constraint order_errands_pkey PRIMARY KEY (order_id, kind, subject),
  constraint order_errands_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders(id),
  constraint order_errands_amount_check CHECK (amount >= 0),
  constraint order_errands_kind_check CHECK (kind = ANY (ARRAY['mail_confirmation'::text, 'mail_shipped'::text, 'mail_delivered'::text, 'mail_refund'::text, 'fetch_return'::text, 'leave_return'::text]))
);
CREATE INDEX order_errands_due ON order_errands USING btree (kind, next_attempt_time) WHERE next_attempt_time IS NOT NULL;

create table order_events (
  order_id text collate "C" not null,
  seq integer not null,
  time timestamptz(3) not null,
  state text not null,
  step text not null,
  actor text not null,
  note text not null,
  constraint order_events_pkey PRIMARY KEY (order_id, seq),
  constraint order_events_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders(id)
);

create table order_lines (
  order_id text collate "C" not null,
  position integer not null,
  sku text not null,
  title text not null,
  quantity bigint not null,
  unit_price bigint not null,
  line_total bigint not null,
  returned_quantity bigint not null default 0,
  announced_quantity bigint not null default 0,
  weight_grams integer not null default 0,
  length_mm integer not null default 0,
  width_mm integer not null default 0,
  height_mm integer not null default 0,
  constraint order_lines_pkey PRIMARY KEY (order_id, "position"),
  constraint order_lines_order_id_sku_key UNIQUE (order_id, sku),
  constraint order_lines_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders(id),
  constraint order_lines_announced_quantity_check CHECK (announced_quantity >= 0),
  constraint order_lines_check CHECK (line_total = (unit_price * quantity)),
  constraint order_lines_check1 CHECK (returned_quantity >= 0 AND returned_quantity <= quantity),
  constraint order_lines_height_mm_check CHECK (height_mm >= 0),
  constraint order_lines_length_mm_check CHECK (length_mm >= 0),
  constraint order_lines_quantity_check CHECK (quantity > 0),
  constraint order_lines_returnable CHECK ((announced_quantity + returned_quantity) <= quantity),
  constraint order_lines_unit_price_check CHECK (unit_price >= 0),
  constraint order_lines_weight_grams_check CHECK (weight_grams >= 0),
  constraint order_lines_width_mm_check CHECK (width_mm >= 0)
);

create table order_return_lines (
  return_id text collate "C" not null,
  position integer not null,
  sku text not null,
  quantity bigint not null,
  constraint order_return_lines_pkey PRIMARY KEY (return_id, "position"),
  constraint order_return_lines_return_id_sku_key UNIQUE (return_id, sku),
  constraint order_return_lines_return_id_fkey FOREIGN KEY (return_id) REFERENCES order_returns(id),
  constraint order_return_lines_quantity_check CHECK (quantity > 0)
);

create table order_returns (
  id text collate "C" not null,
  order_id text collate "C" not null,
  customer_id text collate "C" not null,
  state text not null,
  refund bigint not null,
  currency_code text not null,
  note text not null,
  requested_by text collate "C" not null,
  request_id text not null,
  create_time timestamptz(3) not null default now(),
  update_time timestamptz(3) not null default now(),
  shipment_id text not null default ''::text,
  constraint order_returns_pkey PRIMARY KEY (id),
  constraint order_returns_request_once UNIQUE (requested_by, request_id),
  constraint order_returns_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders(id),
  constraint order_returns_refund_check CHECK (refund >= 0),
  constraint order_returns_state_check CHECK (state = ANY (ARRAY['REQUESTED'::text, 'RECEIVED'::text, 'REFUNDED'::text, 'CANCELLED'::text]))
);
CREATE INDEX order_returns_by_customer ON order_returns USING btree (customer_id, id DESC);
CREATE INDEX order_returns_by_order ON order_returns USING btree (order_id, id DESC);
CREATE INDEX order_returns_by_state ON order_returns USING btree (state, id DESC);

create table orders (
  id text collate "C" not null,
  customer_id text collate "C" not null,
  request_id text not null,
  request_hash bytea not null,
  cart_id text not null,
  state text not null,
  step text not null,
  holds integer not null,
  reservation_id text,
  payment_id text,
  rejection_reason text,
  rejection_message text,
  rejection_metadata jsonb,
  fence bigint not null default 1,
  lease_until timestamptz(3),
  next_attempt_time timestamptz(3),
  attempts integer not null default 0,
  backoff_ms integer not null default 0,
  last_error text not null default ''::text,
  step_time timestamptz(3) not null default now(),
  version integer not null,
  currency_code text not null,
  subtotal bigint not null,
  shipping_price bigint not null,
  total bigint not null,
  refunded bigint not null default 0,
  email text not null,
  address jsonb not null,
  shipping_option_id text not null,
  shipping_option_title text not null,
  shipping_min_days integer not null,
  shipping_max_days integer not null,
  create_time timestamptz(3) not null default now(),
  update_time timestamptz(3) not null default now(),
  cart_cleared boolean not null default false,
  promised bigint not null default 0,
  announced integer not null default 0,
  dues integer not null default 0,
  dues_settled integer not null default 0,
  withdrawn integer not null default 0,
  rate_id text not null default ''::text,
  erased_version integer,
  delivers boolean not null default true,
  shipment_id text,
  constraint orders_pkey PRIMARY KEY (id),
  constraint orders_request_once UNIQUE (customer_id, request_id),
  constraint orders_accepted CHECK ((state <> ALL (ARRAY['CONFIRMED'::text, 'PAID'::text, 'SHIPPED'::text, 'COMPLETED'::text])) OR reservation_id IS NOT NULL AND payment_id IS NOT NULL),
  constraint orders_announced_check CHECK (announced >= 0),
  constraint orders_due CHECK ((step = 'done'::text) = (next_attempt_time IS NULL)),
  constraint orders_dues CHECK (dues_settled >= 0 AND dues_settled <= dues AND (dues - dues_settled) <= 32),
  constraint orders_dues_of_state CHECK (dues = 0 AND announced = 0 AND promised = 0 OR (state = ANY (ARRAY['PAID'::text, 'SHIPPED'::text, 'COMPLETED'::text]))),
  constraint orders_erased CHECK (erased_version IS NULL OR email = ''::text AND (address ->> 'recipient'::text) = ''::text),
  constraint orders_holds_check CHECK (holds >= 1),
  constraint orders_rejected CHECK ((rejection_reason IS NOT NULL) = (state = 'REJECTED'::text OR state = 'PENDING'::text AND step = 'release_stock'::text)),
  constraint orders_shipment CHECK (
CASE
    WHEN step = 'create_shipment'::text THEN shipment_id IS NULL
    WHEN step = 'cancel_shipment'::text THEN shipment_id IS NOT NULL
    WHEN state = ANY (ARRAY['PAID'::text, 'SHIPPED'::text, 'COMPLETED'::text]) THEN true
    ELSE shipment_id IS NULL
END),
  constraint orders_shipping_price_check CHECK (shipping_price >= 0),
  constraint orders_step_of_state CHECK (
CASE
    WHEN state = 'PENDING'::text THEN step = ANY (ARRAY['reserve_stock'::text, 'authorize_payment'::text, 'settle_payment'::text, 'release_stock'::text])
    WHEN state = 'CONFIRMED'::text THEN step = ANY (ARRAY['clear_cart'::text, 'capture_payment'::text, 'commit_stock'::text, 'reserve_again'::text])
    WHEN state = 'CANCELLING'::text THEN step = ANY (ARRAY['reserve_stock'::text, 'authorize_payment'::text, 'settle_payment'::text, 'reserve_again'::text, 'create_shipment'::text, 'cancel_shipment'::text, 'void_payment'::text, 'refund_payment'::text, 'release_stock'::text, 'restock'::text])
    WHEN state = ANY (ARRAY['REJECTED'::text, 'CANCELLED'::text]) THEN step = 'done'::text
    WHEN state = 'PAID'::text AND delivers AND rate_id <> ''::text AND shipment_id IS NULL THEN step = 'create_shipment'::text
    WHEN state = ANY (ARRAY['PAID'::text, 'SHIPPED'::text, 'COMPLETED'::text]) THEN
    CASE
        WHEN dues_settled < dues THEN step = ANY (ARRAY['restock'::text, 'refund_payment'::text])
        WHEN cart_cleared THEN step = 'done'::text
        ELSE step = 'clear_cart'::text
    END
    ELSE false
END),
  constraint orders_subtotal_check CHECK (subtotal >= 0),
  constraint orders_total CHECK (total = (subtotal + shipping_price) AND refunded >= 0 AND promised >= 0 AND (refunded + promised) <= total),
  constraint orders_total_check CHECK (total > 0),
  constraint orders_withdrawn_check CHECK (withdrawn >= 0)
);
CREATE INDEX orders_by_customer ON orders USING btree (customer_id, id DESC);
CREATE INDEX orders_due_by_time ON orders USING btree (next_attempt_time) WHERE step <> 'done'::text;
CREATE INDEX orders_under_way_by_step_time ON orders USING btree (step_time, id) WHERE step <> 'done'::text;

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

create table shipment_feed (
  one boolean not null default true,
  resume_token text not null default ''::text,
  fence bigint not null default 0,
  lease_until timestamptz(3),
  constraint shipment_feed_pkey PRIMARY KEY (one),
  constraint shipment_feed_one_check CHECK (one)
);
