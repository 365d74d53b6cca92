-- The schema that the tests of mesh/postgres use.
create table accounts (
  id text primary key,
  balance bigint not null constraint balance_not_negative check (balance >= 0)
);
