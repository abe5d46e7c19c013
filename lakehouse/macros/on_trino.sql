{# What forebay does on a Trino target, where it has run dbt itself: it then gives dbt's adapter
   methods of its own, named forebay_... #}
{% macro forebay_on_trino(what) %}
    {%- if adapter.forebay_build_view is not defined -%}
        {{ exceptions.raise_compiler_error(
            what ~ " needs forebay beside dbt on target '" ~ target.name ~ "'. Hint: run `forebay build --target "
            ~ target.name ~ "` in place of dbt's own command"
        ) }}
    {%- endif -%}
{% endmacro %}


{# The features of a service over a spine, in Trino's SQL; its leaves at the snapshots of this run. #}
{% macro forebay_point_in_time_on_trino(service, spine, timestamp, lag_us) -%}
    {%- if execute and (flags.WHICH != 'generate' or adapter.forebay_build_view is defined) -%}
        {#- dbt's docs show a model by its columns, which the table has; its SQL is each run's own. -#}
        {{ forebay_on_trino('point_in_time()') }}
        {{- adapter.forebay_point_in_time(service, spine | string, timestamp, lag_us | int) -}}
    {%- else -%}
        select * from {{ spine }}
    {%- endif -%}
{%- endmacro %}


{# Maintains a feature table and its log, as on DuckDB; what dbt sees of it is the table itself. #}
{% materialization feature_view, adapter='trino', supported_languages=['sql'] %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {{ run_hooks(pre_hooks) }}
    {{ forebay_on_trino('a feature view') }}
    {%- set message = 'dry run' -%}
    {%- if not (flags.EMPTY or flags.SAMPLE) -%}
        {%- set request = {
            'unique_id': model.unique_id,
            'table': [this.database, this.schema, this.identifier],
            'contract': config.get('contract').enforced,
            'columns': model.columns.values() | list,
            'now': var('forebay_now', run_started_at),
            'full_refresh': should_full_refresh(),
        } -%}
        {%- set done = adapter.forebay_build_view(request) -%}
        {%- set message = done['message'] -%}
        {%- do log(model.name ~ ': ' ~ message, info=true) -%}
        {%- for line in done['notes'] -%}
            {%- do log(model.name ~ ': ' ~ line, info=true) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- call noop_statement('main', message) -%}{%- endcall -%}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{# A table that is replaced in one commit, with the record of what it was made of. #}
{% materialization training_set, adapter='trino', supported_languages=['sql'] %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set known = load_cached_relation(this) -%}
    {{ run_hooks(pre_hooks) }}
    {{ forebay_on_trino('a training set') }}
    {%- if known is not none and known.type != 'table' -%}
        {%- do adapter.drop_relation(known) -%}
    {%- endif -%}
    {%- call statement('main') -%}
        {{ create_table_as(False, target_relation, sql, 'replace') }}
    {%- endcall -%}
    {%- do adapter.forebay_keep_record(sql, this.schema ~ '.' ~ this.identifier) -%}
    {% do persist_docs(target_relation, model) %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
