-- A request that was refused is kept as a reservation that never was: under the same unique key, so that of two copies at
-- once one is told what the other was. It has no lines, and nobody but its request finds it.
alter table reservations
  drop constraint reservations_state_check,
  add constraint reservations_state_check
    check (state in ('ACTIVE', 'COMMITTED', 'RELEASED', 'EXPIRED', 'REFUSED')),
  -- Why: the one SKU of which no stock is kept; or else the short ones, with what there was of each.
  add column unknown_sku text,
  add column short_skus text[],
  add column available bigint[];
