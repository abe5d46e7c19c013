select
    origin,
    count(*) filter (where departed_at > current_timestamp - interval '1' hour) as departures_1h,
    count(*) filter (where departed_at > current_timestamp - interval '24' hour) as departures_24h,
    count(*) as departures_7d,
    avg(dep_delay) filter (where departed_at > current_timestamp - interval '1' hour) as mean_dep_delay_1h,
    avg(dep_delay) filter (where departed_at > current_timestamp - interval '24' hour) as mean_dep_delay_24h,
    avg(dep_delay) as mean_dep_delay_7d,
    max(dep_delay) filter (where departed_at > current_timestamp - interval '1' hour) as max_dep_delay_1h,
    max(dep_delay) filter (where departed_at > current_timestamp - interval '24' hour) as max_dep_delay_24h,
    max(dep_delay) as max_dep_delay_7d
from {{ ref('stg_departures') }}
where departed_at > current_timestamp - interval '7' day
group by origin
