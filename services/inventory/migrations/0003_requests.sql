-- The request that made a reservation, and the one that ended it, are kept with it and found for as long as it is.
alter table reservations
  add column principal text,
  add column request_id text,
  add column request_sha256 bytea,
  add column settle_principal text,
  add column settle_request_id text;

-- So far they were kept for 7 days, with the answer that names the reservation.
update reservations r
set principal = o.principal, request_id = o.request_id, request_sha256 = o.request_sha256
from once_requests o
where o.method = '/shop.inventory.v1.InventoryService/CreateReservation'
  and r.id = substring(encode(o.response, 'escape') from 'res_[0-9a-z]{26}');

create unique index reservations_by_request on reservations (principal, request_id);
-- By the state, too: ids of different methods never meet.
create unique index reservations_by_settle_request on reservations (settle_principal, state, settle_request_id);
