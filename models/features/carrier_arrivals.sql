select
    carrier,
    count(*) filter (where departed_at > current_timestamp - interval '7' day) as arrivals_7d,
    count(*) as arrivals_30d,
    avg(arr_delay) filter (where departed_at > current_timestamp - interval '7' day) as mean_arr_delay_7d,
    avg(arr_delay) as mean_arr_delay_30d,
    stddev_samp(arr_delay) filter (where departed_at > current_timestamp - interval '7' day) as stddev_arr_delay_7d,
    stddev_samp(arr_delay) as stddev_arr_delay_30d,
    count(*) filter (where arr_delay > 15 and departed_at > current_timestamp - interval '7' day)
        / nullif(count(arr_delay) filter (where departed_at > current_timestamp - interval '7' day), 0) as late_share_7d,
    count(*) filter (where arr_delay > 15) / nullif(count(arr_delay), 0) as late_share_30d
from {{ ref('stg_arrivals') }}
where departed_at > current_timestamp - interval '30' day
group by carrier
