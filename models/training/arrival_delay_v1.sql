{{ config(materialized='training_set') }}

{{ point_in_time(spine=ref('scheduled_flights'), service='arrival_delay_v1', timestamp='scheduled_at') }}
