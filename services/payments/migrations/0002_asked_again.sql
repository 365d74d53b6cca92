-- When the payment gateway was last about to be asked. An authorization that it has not heard of is given up only when
-- no request of ours can be on its way any more. Null where it never was asked: what was done already, and the fences
-- that settle an authorization which never came. What is there has the time of this migration, which only waits longer.
alter table operations add column asked_time timestamptz default now();
