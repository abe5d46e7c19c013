select
    flight_id,
    carrier,
    tailnum,
    origin,
    dest,
    departed_at,
    arrived_at,
    arr_delay,
    air_time
from {{ source('nyc', 'arrivals') }}
where arrived_at is not null
