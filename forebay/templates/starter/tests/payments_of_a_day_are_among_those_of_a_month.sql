-- A dbt test: rows that it returns are failures.
select * from {{ ref('card_activity') }} where payments_1d > payments_30d
