select
    tailnum,
    extract(year from current_timestamp) - manufactured as age_years,
    seats,
    manufacturer
from {{ ref('stg_planes') }}
