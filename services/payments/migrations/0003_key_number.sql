-- Which key of an operation the payment gateway is asked under. A refusal is final under its key; asking again after one
-- takes the next: `id`, `id:2`, `id:3`.
alter table operations add column key_number int not null default 1;
