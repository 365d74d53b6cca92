-- A payment's own authorization that was given up: looked for whenever the payment gateway tells of its order.
create index operations_abandoned_by_payment on operations (payment_id) where failure_code = 'abandoned';
