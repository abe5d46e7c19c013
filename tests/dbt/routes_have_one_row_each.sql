-- A feature view has at most one row per entity; this one's entity is a pair.
select origin, dest
from {{ ref('route_history') }}
group by origin, dest
having count(*) > 1
