select
    flight_id,
    carrier,
    flight,
    tailnum,
    origin,
    dest,
    distance,
    scheduled_at,
    departed_at,
    dep_delay
from {{ source('nyc', 'departures') }}
where departed_at is not null
