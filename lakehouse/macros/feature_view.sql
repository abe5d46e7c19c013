{# Maintains a feature table and its log in Iceberg through forebay's plugin, and shows the table to
   dbt as a view of the author's columns. #}
{% materialization feature_view, adapter='duckdb', supported_languages=['sql'] %}
    {%- set request = {
        'kind': 'feature_view',
        'run': invocation_id,
        'unique_id': model.unique_id,
        'now': var('forebay_now', run_started_at),
        'full_refresh': should_full_refresh(),
    } -%}
    {{ return(forebay_materialize(request)) }}
{% endmaterialization %}
