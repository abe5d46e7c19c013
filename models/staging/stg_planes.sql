select
    tailnum,
    manufactured,
    type,
    manufacturer,
    model,
    engines,
    seats,
    engine
from {{ source('nyc', 'planes') }}
