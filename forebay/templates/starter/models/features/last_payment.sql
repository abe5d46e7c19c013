-- A row for each payment; the latest one by the instant asked is the answer (event_time in
-- features.yml makes it so). The seconds since then are computed when the features are read.
select
    customer_id,
    paid_at,
    payment_id,
    amount_cents as last_amount_cents,
    category as last_category,
    country as last_country,
    epoch(current_timestamp - paid_at) as seconds_since_last_payment
from {{ source('shop', 'payments') }}
where not declined
