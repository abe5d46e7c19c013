select
    tailnum,
    departed_at,
    flight_id,
    origin as last_origin,
    dest as last_dest,
    dep_delay as last_dep_delay,
    epoch(current_timestamp - departed_at) as seconds_since_last_departure
from {{ ref('stg_departures') }}
