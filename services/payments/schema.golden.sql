-- What the migrations of payments come to. Not run by anybody; npm run golden writes it anew.

create table discrepancies (
  id text not null,
  provider text not null,
  kind text not null,
  state text not null,
  payment_id text,
  authorization_reference text,
  currency text not null,
  our_state text,
  our_kept bigint,
  gateway_state text,
  gateway_kept bigint,
  create_time timestamptz not null,
  update_time timestamptz not null,
  constraint discrepancies_pkey PRIMARY KEY (id),
  constraint discrepancies_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES payments(id),
  constraint discrepancies_kind_check CHECK (kind = ANY (ARRAY['MISSING_AT_GATEWAY'::text, 'MISSING_IN_BOOKS'::text, 'AMOUNT_DIFFERS'::text, 'STATE_DIFFERS'::text])),
  constraint discrepancies_state_check CHECK (state = ANY (ARRAY['OPEN'::text, 'REPAIRED'::text, 'RESOLVED'::text]))
);
CREATE UNIQUE INDEX discrepancies_open ON discrepancies USING btree (provider, COALESCE(payment_id, authorization_reference)) WHERE state = 'OPEN'::text;

create table erased_records (
  request_id text not null,
  place text not null,
  customer_id text not null,
  erased_count bigint not null default 0,
  constraint erased_records_pkey PRIMARY KEY (request_id, place)
);

create table gateway_records (
  provider text not null,
  authorization_reference text not null,
  status text not null,
  currency text not null,
  amount bigint not null,
  captured bigint not null,
  refunded bigint not null,
  is_read boolean not null default false,
  constraint gateway_records_pkey PRIMARY KEY (provider, authorization_reference),
  constraint gateway_records_status_check CHECK (status = ANY (ARRAY['AUTHORIZED'::text, 'CAPTURED'::text, 'VOIDED'::text, 'EXPIRED'::text]))
);

create table ledger_lines (
  operation_id text not null,
  account text not null,
  currency text not null,
  debit bigint not null,
  credit bigint not null,
  create_time timestamptz not null,
  constraint ledger_lines_pkey PRIMARY KEY (operation_id, account),
  constraint ledger_lines_operation_id_fkey FOREIGN KEY (operation_id) REFERENCES operations(id),
  constraint ledger_lines_check CHECK ((debit = 0) <> (credit = 0)),
  constraint ledger_lines_credit_check CHECK (credit >= 0),
  constraint ledger_lines_debit_check CHECK (debit >= 0)
);
CREATE INDEX ledger_lines_by_account ON ledger_lines USING btree (account, currency) INCLUDE (debit, credit);
CREATE TRIGGER ledger_lines_append_only BEFORE DELETE OR UPDATE ON ledger_lines FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
CREATE CONSTRAINT TRIGGER ledger_lines_balance AFTER INSERT ON ledger_lines DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_balanced();

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

create table operations (
  id text not null,
  payment_id text not null,
  kind text not null,
  principal text not null,
  request_id text not null,
  request_sha256 bytea not null,
  amount bigint not null,
  note text not null,
  state text not null,
  failure_code text,
  provider_reference text,
  create_time timestamptz not null,
  update_time timestamptz not null,
  attempts integer not null default 0,
  next_try_time timestamptz not null,
  asked_time timestamptz default now(),
  key_number integer not null default 1,
  constraint operations_pkey PRIMARY KEY (id),
  constraint operations_once UNIQUE (principal, kind, request_id),
  constraint operations_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES payments(id),
  constraint operations_kind_check CHECK (kind = ANY (ARRAY['AUTHORIZE'::text, 'CAPTURE'::text, 'VOID'::text, 'REFUND'::text, 'LATE_VOID'::text, 'LATE_REFUND'::text])),
  constraint operations_state_check CHECK (state = ANY (ARRAY['PENDING'::text, 'DONE'::text, 'FAILED'::text]))
);
CREATE INDEX operations_abandoned ON operations USING btree (update_time, id) WHERE failure_code = 'abandoned'::text;
CREATE INDEX operations_abandoned_by_payment ON operations USING btree (payment_id) WHERE failure_code = 'abandoned'::text;
CREATE INDEX operations_pending ON operations USING btree (next_try_time) WHERE state = 'PENDING'::text;
CREATE INDEX operations_refunds_by_payment ON operations USING btree (payment_id) WHERE kind = 'REFUND'::text;

create table payments (
  id text not null,
  order_id text not null,
  customer_id text not null,
  state text not null,
  currency text not null,
  amount bigint not null,
  captured bigint not null default 0,
  refunded bigint not null default 0,
  provider text not null,
  authorization_reference text,
  capture_reference text,
  decline_code text,
  expire_time timestamptz,
  pending_operation_id text,
  create_time timestamptz not null,
  update_time timestamptz not null,
  constraint payments_pkey PRIMARY KEY (id),
  constraint payments_amount_check CHECK (amount > 0),
  constraint payments_check CHECK (captured >= 0 AND captured <= amount),
  constraint payments_check1 CHECK (refunded >= 0 AND refunded <= captured),
  constraint payments_state_check CHECK (state = ANY (ARRAY['PENDING'::text, 'AUTHORIZED'::text, 'DECLINED'::text, 'CAPTURED'::text, 'VOIDED'::text, 'EXPIRED'::text]))
);
CREATE INDEX payments_authorized_by_expire_time ON payments USING btree (expire_time) WHERE state = 'AUTHORIZED'::text;
CREATE UNIQUE INDEX payments_by_authorization ON payments USING btree (provider, authorization_reference);
CREATE INDEX payments_by_customer ON payments USING btree (customer_id, id);
CREATE INDEX payments_by_order ON payments USING btree (order_id, id DESC);
CREATE INDEX payments_by_update_time ON payments USING btree (provider, update_time, id);
CREATE UNIQUE INDEX payments_one_live_per_order ON payments USING btree (order_id) WHERE state = ANY (ARRAY['PENDING'::text, 'AUTHORIZED'::text, 'CAPTURED'::text]);

create table reconciliations (
  provider text not null,
  gateway_cursor text,
  books_time timestamptz not null default '1970-01-01 00:00:00+00'::timestamptz,
  books_id text not null default ''::text,
  lease_until timestamptz not null,
  fence bigint not null,
  constraint reconciliations_pkey PRIMARY KEY (provider)
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

create table suspects (
  provider text not null,
  subject text not null,
  is_payment boolean not null,
  next_look_time timestamptz not null,
  constraint suspects_pkey PRIMARY KEY (provider, subject)
);
CREATE INDEX suspects_by_next_look_time ON suspects USING btree (provider, next_look_time);

create table webhook_events (
  provider text not null,
  event_id text not null,
  create_time timestamptz not null,
  constraint webhook_events_pkey PRIMARY KEY (provider, event_id)
);
CREATE INDEX webhook_events_by_create_time ON webhook_events USING btree (create_time);

CREATE OR REPLACE FUNCTION public.ledger_append_only()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  raise exception 'the ledger is only ever added to' using errcode = 'check_violation';
end $function$;

CREATE OR REPLACE FUNCTION public.ledger_balanced()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if (select sum(debit) <> sum(credit) or count(distinct currency) <> 1
      from ledger_lines where operation_id = new.operation_id) then
    raise exception 'operation % does not balance', new.operation_id using errcode = 'check_violation';
  end if;
  return null;
end $function$;
