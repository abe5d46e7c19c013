"""dbt run by itself after an edit: what is not compiled as it stands now is not built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from pyiceberg.table.snapshots import Snapshot

from forebay.compilation.compile_project import compile_project
from forebay.dbt_project.dbt_errors import DbtError
from forebay.dbt_project.project import Project
from lakehouse.commit import commit_rows
from lakehouse.lake import find_table, open_lake
from tests.forebay.small import edit, lake_of, make_project, payments

OPTIONS = "\n    config: {materialized: feature_view, meta: {feature_view: {entities: [customer]}}}"
OTHERS = """\
sources:
  - name: other
    schema: raw
    tables:
      - name: refunds
        config: {event_time: paid_at}
"""
FEATURE = "select customer, count(*) as n from {{ source('raw', 'payments') }} group by customer\n"
VIEWS = {
    "by_macro": "select customer, sum({{ scaled('amount') }}) as n\n"
    "from {{ source('raw', 'payments') }} group by customer\n",
    "by_var": "select customer, count(*) * {{ var('factor', 2) }} as n\n"
    "from {{ source('raw', 'payments') }} group by customer\n",
    "refunded": "select customer, count(*) as n from {{ source('other', 'refunds') }}\n"
    "group by customer\n",
    "same": FEATURE,
    "stamped": "select customer, count(*) as n from {{ source('raw', 'payments') }}\n"
    "where {{ run_started_at.microsecond }} >= 0 group by customer\n",
}
TRAINING = {
    "labels": "select customer, paid_at as event_timestamp from {{ source('raw', 'payments') }}\n",
    "set_of_same": "{{ config(materialized='training_set') }}\n"
    "{{ point_in_time(spine=ref('labels'), service='one') }}\n",
    "table_of_same": "{{ config(materialized='table') }}\n"
    "select same__n from ({{ point_in_time(spine=ref('labels'), service='one') }}) as read\n",
    "view_of_churn": "{{ config(materialized='ephemeral') }}\n"
    "{{ point_in_time(spine=ref('labels'), service='churn') }}\n",
    "over_churn": "{{ config(materialized='incremental') }}\nselect * from {{ ref('view_of_churn') }}\n",
    "set_of_churn": "{{ config(materialized='training_set') }}\n"
    "{{ point_in_time(spine=ref('labels'), service='churn') }}\n",
}
SERVICE = """
exposures:
  - name: one
    type: ml
    owner: {name: Risk}
    depends_on: [ref('same')]
    config: {meta: {feature_service: {features: [same.n]}}}
"""
BUILT = ("spending", "last_payment", *VIEWS, "set_of_same", "set_of_churn")
TABLES = ("table_of_same", "over_churn")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    declared = "models:\n" + "".join(f"  - name: {name}{OPTIONS}\n" for name in VIEWS)
    models = {f"models/{name}.sql": text for name, text in {**VIEWS, **TRAINING}.items()}
    root = make_project(
        tmp_path / "shop",
        {
            **models,
            "models/others.yml": OTHERS + declared + SERVICE,
            "macros/scaled.sql": "{% macro scaled(x) %}{{ x }} * 10{% endmacro %}\n",
        },
    )
    commit_rows(open_lake(lake_of(root)), "raw.refunds", payments(), mode="append")
    monkeypatch.chdir(root)
    return Project(root)


def run(project: Project, *words: str) -> dict[str, str]:
    """Name of each node that a run of dbt's own refuses, and the message."""
    try:
        project.dbt(["build", *words, "--select", *BUILT, *TABLES], quiet=True)
    except DbtError as error:
        return {
            r.node.name: " ".join(str(r.message).split())
            for r in error.results
            if str(r.status) == "error"
        }
    return {}


def snapshots(project: Project) -> Mapping[str, int | None]:
    lake = open_lake(lake_of(project.root))
    tables = {name: find_table(lake, f"main.{name}") for name in BUILT}
    found = {n: table and table.current_snapshot() for n, table in tables.items()}
    return {n: at.snapshot_id if isinstance(at, Snapshot) else None for n, at in found.items()}


@pytest.mark.slow
def test_what_changed_since_it_was_compiled_is_not_built(project: Project) -> None:
    root = project.root
    compile_project(project)
    project.dbt(["run", "--select", "labels", "stg_payments"], quiet=True)
    # Neither a comment, nor a description, nor another model, nor another variable is a change.
    edit(root, "models/same.sql", "select customer", "-- the key\nselect  customer")
    edit(root, "models/others.yml", "  - name: refunded", "  - name: refunded\n    description: of")
    (root / "models/unrelated.sql").write_text("select 1 as x\n")
    assert run(project, "--vars", "{unrelated: 1}") == {}
    before = snapshots(project)
    assert all(before.values()), before

    edit(
        root,
        "models/stg_payments.sql",
        "select *",
        "select customer, paid_at, amount + 1 as amount",
    )
    edit(root, "models/views.yml", "ttl: 7 days", "ttl: 8 days")
    edit(root, "macros/scaled.sql", "* 10", "* 11")
    edit(root, "models/others.yml", "{event_time: paid_at}", "{meta: {time: static}}")
    edit(root, "models/stamped.sql", "count(*)", "count(*) + 1")
    edit(root, "models/others.yml", "features: [same.n]", "features: ['same.*']")
    refused = run(project, "--vars", "{factor: 3}")
    changed = {
        "spending": "models/stg_payments.sql",
        "last_payment": "models/views.yml, in what it declares of last_payment",
        "by_macro": "models/by_macro.sql, by a macro, a variable or another target",
        "by_var": "models/by_var.sql, by a macro, a variable or another target",
        "refunded": "models/others.yml, in what it declares of other.refunds",
        "stamped": "models/stamped.sql",
    }
    assert set(refused) == {*changed, "set_of_same", "table_of_same"}, refused
    for name, what in changed.items():
        said = (
            f"feature view '{name}' has changed since it was compiled: {what}. Hint: run `forebay"
        )
        assert said in refused[name]
    what = "feature service 'one' has changed since it was compiled: models/others.yml, in what"
    assert what in refused["set_of_same"] and what in refused["table_of_same"]
    after = snapshots(project)
    kept = [n for n in refused if n in before]
    assert {n: after[n] for n in kept} == {n: before[n] for n in kept}
    # What dbt only shows of it is not refused.
    project.dbt(["compile", "--select", "table_of_same"], quiet=True)

    # The view behind a training set need not be selected, and a new one is told from a changed one.
    (root / "models/newer.sql").write_text(FEATURE)
    edit(root, "models/views.yml", "models:", f"models:\n  - name: newer{OPTIONS}")
    with pytest.raises(DbtError) as told:
        project.dbt(["build", "--select", "set_of_churn", "over_churn", "newer"], quiet=True)
    messages = {r.node.name: str(r.message) for r in told.value.results}
    what = "'churn' has changed since it was compiled: models/stg_payments.sql. Hint"
    assert what in messages["set_of_churn"]
    assert what in " ".join(messages["over_churn"].split())
    assert "feature view 'newer' is not compiled yet. Hint: run `forebay" in messages["newer"]
