-- Whose buyer wanted to be forgotten: at which version of the order what was personal was taken out of it. Whatever happens
-- to the order later may bring more, and is one version further.
alter table orders
  add column erased_version int,
  add constraint orders_erased check (erased_version is null or (email = '' and address ->> 'recipient' = ''));
