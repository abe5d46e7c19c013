{# Asks forebay's plugin to store a model in Iceberg, and shows what it stored to dbt as a view.
   A dry run (--empty, --sample) tries the SQL and commits nothing. #}
{% macro forebay_materialize(request) %}
    {%- set target = this.incorporate(type='view') -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif -%}
    {%- if flags.EMPTY or flags.SAMPLE -%}
        {%- set select = 'select * from (' ~ sql ~ ') as dry_run where false' -%}
    {%- else -%}
        {%- do adapter.store_relation('forebay', target, [], '', 'parquet', request) -%}
        {{ forebay_log_copied(request) }}
        {%- do log(model.name ~ ': ' ~ request['message'], info=true) -%}
        {%- for line in request.get('notes', []) -%}
            {%- do log(model.name ~ ': ' ~ line, info=true) -%}
        {%- endfor -%}
        {%- for line in request.get('warnings', []) -%}
            {%- do exceptions.warn(model.name ~ ': ' ~ line) -%}
        {%- endfor -%}
        {%- set select = request['select'] -%}
    {%- endif -%}
    {%- set known = load_cached_relation(this) -%}
    {%- if known is not none and known.type != 'view' -%}
        {#- The model was a table before: it is dbt's own, and its rows are in the lake now. -#}
        {%- do adapter.drop_relation(known) -%}
    {%- endif -%}
    {%- call statement('main') -%}
        create or replace view {{ target }} as {{ select }}
    {%- endcall -%}
    {% do persist_docs(target, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmacro %}
