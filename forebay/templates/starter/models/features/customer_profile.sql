-- What is known of a customer from signing up.
select
    customer_id,
    country as home_country,
    plan,
    epoch(current_timestamp - signed_up_at) / 86400 as days_as_customer
from {{ source('shop', 'customers') }}
