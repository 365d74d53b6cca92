-- Somebody who was erased: the row stays, so that their id is nobody else's ever, with neither address nor password.
alter table users
  add column erase_time timestamptz,
  drop constraint users_check,
  add constraint users_credentials check (
    (kind = 'customer' and erase_time is null) = (email is not null and password_hash is not null)),
  add constraint users_erased check (erase_time is null or (email is null and password_hash is null));
