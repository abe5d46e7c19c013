{# Maintains a feature table and its log in Iceberg through forebay's plugin, and shows the table to
   dbt as a view of the author's columns. #}
{% materialization feature_view, adapter='duckdb', supported_languages=['sql'] %}
    {%- set target = this.incorporate(type='view') -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif -%}
    {%- if flags.EMPTY or flags.SAMPLE -%}
        {#- A dry run of the SQL: nothing is committed. -#}
        {%- set select = 'select * from (' ~ sql ~ ') as dry_run where false' -%}
    {%- else -%}
        {%- set request = {
            'kind': 'feature_view',
            'run': invocation_id,
            'unique_id': model.unique_id,
            'now': var('forebay_now', run_started_at),
            'full_refresh': should_full_refresh(),
        } -%}
        {%- do adapter.store_relation('forebay', target, [], '', 'parquet', request) -%}
        {{ forebay_log_copied(request) }}
        {%- do log(model.name ~ ': ' ~ request['message'], info=true) -%}
        {%- for line in request['notes'] -%}
            {%- do log(model.name ~ ': ' ~ line, info=true) -%}
        {%- endfor -%}
        {%- for line in request['warnings'] -%}
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
{% endmaterialization %}
