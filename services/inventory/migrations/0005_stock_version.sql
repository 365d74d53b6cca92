-- Counts the changes of each stock, so that who watches it can say up to which they have seen it. By a trigger: no
-- statement can forget it, neither one of the release that runs beside this one.
alter table stock add column version bigint not null default 1;

create function count_stock_change() returns trigger language plpgsql as $$
begin
  new.version := old.version + 1;
  return new;
end
$$;

create trigger count_stock_change before update on stock for each row execute function count_stock_change();
