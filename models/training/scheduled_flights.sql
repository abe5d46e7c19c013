select
    flight_id,
    origin,
    dest,
    carrier,
    tailnum,
    scheduled_at,
    arr_delay > 15 as late_15
from {{ source('nyc', 'flights') }}
