select
    origin,
    dest,
    count(*) as flights_30d,
    avg(arr_delay) as mean_arr_delay_30d
from {{ ref('stg_arrivals') }}
where departed_at > current_timestamp - interval '30' day
group by origin, dest
