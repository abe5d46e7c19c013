select date_trunc('month', ordered_at) as month, sum(amount_cents) as amount_cents
from {{ ref('orders') }}
group by all
