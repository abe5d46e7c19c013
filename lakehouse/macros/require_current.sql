{# Refuses a service that is not compiled as dbt has it, and a spine that it cannot be read by, in a
   model of any materialization. A training_set is checked when it is stored. #}
{% macro forebay_require_current(service, spine, timestamp) %}
    {%- set reads = flags.WHICH in ('build', 'run', 'retry', 'show', 'snapshot', 'test') -%}
    {%- if execute and reads and target.type == 'duckdb' -%}
        {%- set request = {
            'kind': 'check',
            'run': invocation_id,
            'unique_id': model.unique_id,
            'service': service,
            'spine': spine | string,
            'timestamp': timestamp,
        } -%}
        {%- set nowhere = api.Relation.create(identifier='forebay_check') -%}
        {%- do adapter.store_relation('forebay', nowhere, [], '', 'parquet', request) -%}
    {%- endif -%}
{% endmacro %}
