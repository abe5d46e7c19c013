-- What a customer's card did lately, one row for each customer.
-- current_timestamp is the instant asked: now when served, each row's own instant in training.
select
    customer_id,
    count(*) filter (where paid_at > current_timestamp - interval '1' day) as payments_1d,
    count(*) as payments_30d,
    count(*) filter (where declined) as declined_30d,
    cast(sum(amount_cents) as bigint) as spent_cents_30d,
    avg(amount_cents) as mean_amount_cents_30d
from {{ source('shop', 'payments') }}
where paid_at > current_timestamp - interval '30' day
group by customer_id
