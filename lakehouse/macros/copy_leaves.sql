{# Copies what feature views read of the project's own database into Iceberg: the seeds, snapshots and
   models that target/forebay/leaves.json lists. Run by `forebay build` before it compiles. #}
{% macro forebay_copy_leaves() %}
    {%- if execute -%}
        {%- set request = {'kind': 'leaves', 'run': invocation_id} -%}
        {%- set nowhere = api.Relation.create(identifier='forebay_leaves') -%}
        {%- do adapter.store_relation('forebay', nowhere, [], '', 'parquet', request) -%}
        {{ forebay_log_copied(request) }}
    {%- endif -%}
{% endmacro %}


{% macro forebay_log_copied(request) %}
    {%- for note in request['copied'] -%}
        {%- do log(note, info=true) -%}
    {%- endfor -%}
{% endmacro %}
