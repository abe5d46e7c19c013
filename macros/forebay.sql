{# What forebay's models call. These stay when `dbt clean` removes target/, so that the project still
   parses; all that depends on what was compiled is in target/forebay/macros. The generated macros are
   called by name, not through context.get, so that dbt sees the dependence and parses the callers
   again when they change. #}

{% macro request(name, type) -%}
    {#- A value that the caller sends when a vector is read; in training, a column of the spine. -#}
    cast(getvariable('forebay_request_{{ name }}') as {{ type }})
{%- endmacro %}


{% macro point_in_time(spine, service, timestamp=none, lag=none) -%}
    {#- The features of a service for every row of a spine, each as of that row's own instant. -#}
    {%- if context.get('forebay_point_in_time') -%}
        {{ forebay_point_in_time(spine=spine, service=service, timestamp=timestamp, lag=lag) }}
    {%- elif execute -%}
        {{ exceptions.raise_compiler_error("target/forebay is missing: run `forebay compile`") }}
    {%- else -%}
        select * from {{ spine }}
    {%- endif -%}
{%- endmacro %}


{% macro forebay_ready() -%}
    {#- Ends a run before its first model where `forebay compile` has not run. -#}
    {%- if context.get('forebay_compiled') -%}
        {%- do forebay_compiled() -%}
    {%- elif execute -%}
        {{ exceptions.raise_compiler_error("target/forebay is missing: run `forebay compile`") }}
    {%- endif -%}
{%- endmacro %}
