{# A table in Iceberg, replaced in one commit, and shown to dbt as a view of its files. #}
{% materialization training_set, adapter='duckdb', supported_languages=['sql'] %}
    {%- set request = {
        'kind': 'training_set',
        'run': invocation_id,
        'unique_id': model.unique_id,
        'sql': sql,
        'table': this.schema ~ '.' ~ this.identifier,
    } -%}
    {{ return(forebay_materialize(request)) }}
{% endmaterialization %}
