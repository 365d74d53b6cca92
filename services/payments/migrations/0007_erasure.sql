-- A person's payments, and what was written of their refunds: for who wants to know all, or to be forgotten.
create index payments_by_customer on payments (customer_id, id);
create index operations_refunds_by_payment on operations (payment_id) where kind = 'REFUND';
