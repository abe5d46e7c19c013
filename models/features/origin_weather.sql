select
    origin,
    observed_at,
    temp,
    wind_speed,
    precip,
    visib
from {{ ref('stg_weather') }}
