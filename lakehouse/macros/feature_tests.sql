{# Generic tests of features. Each fails with the rows that break it; docs/quality.md says which
   feature each protects. #}

{% test online_equals_offline(model) %}
    {{ forebay_feature_test('online_equals_offline', model, {}) }}
{% endtest %}


{% test fresh_within(model, period, online=false) %}
    {{ forebay_feature_test('fresh_within', model, {'period': period, 'online': online}) }}
{% endtest %}


{% test drift_below(model, column_name, psi=none, js=none, ks=none, rows=none) %}
    {%- set given = {'psi': psi, 'js': js, 'ks': ks, 'rows': rows} -%}
    {{ forebay_feature_test('drift_below', model, {'column': column_name, 'given': given}) }}
{% endtest %}


{% test no_future_rows(model, column_name) %}
    {{ forebay_feature_test('no_future_rows', model, {'column': column_name}) }}
{% endtest %}


{% test one_row_per_entity(model, entities=none) %}
    {{ forebay_feature_test('one_row_per_entity', model, {'entities': entities}) }}
{% endtest %}


{% test null_rate_below(model, column_name, share) %}
    select count(*) - count({{ adapter.quote(column_name) }}) as nulls, count(*) as rows_tested
    from {{ model }}
    having count(*) > count({{ adapter.quote(column_name) }})
        and count(*) - count({{ adapter.quote(column_name) }}) >= {{ share }} * count(*)
{% endtest %}


{# Asks forebay's plugin for a SELECT of the rows that fail a test. #}
{% macro forebay_feature_test(name, relation, arguments) %}
    {%- if execute and flags.WHICH in ('build', 'test', 'retry') and target.type == 'duckdb' -%}
        {%- set request = {
            'kind': 'test',
            'test': name,
            'relation': relation | string,
            'node': model.get('attached_node') or model.depends_on.nodes[0],
            'arguments': arguments,
            'command': flags.WHICH,
            'now': var('forebay_now', run_started_at),
        } -%}
        {%- set nowhere = api.Relation.create(identifier='forebay_test') -%}
        {%- do adapter.store_relation('forebay', nowhere, [], '', 'parquet', request) -%}
        {{ request['select'] }}
    {%- else -%}
        select 1 as untested where false
    {%- endif -%}
{% endmacro %}
