"""A dbt relation as a spine: what it lacks is told before DuckDB meets it in compiled SQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from forebay.compilation.compile_project import compile_project
from forebay.dbt_project.dbt_errors import DbtError
from forebay.dbt_project.project import Project
from tests.forebay.small import make_project

FROM = "from {{ source('raw', 'payments') }}\n"
SPINES = {
    "keyless": f"select paid_at as event_timestamp {FROM}",
    "timeless": f"select customer, paid_at as event_time {FROM}",
    "numbered": f"select 1.5::double as customer, paid_at as event_timestamp {FROM}",
    "taken": f"select customer, paid_at as event_timestamp, 1 as spending__payments_60d {FROM}",
    "fine": f"select customer, paid_at as event_timestamp {FROM}",
    "passing": "{{ config(materialized='ephemeral') }}\n"
    f"select customer, paid_at as event_timestamp {FROM}",
    "hidden": "{{ config(materialized='ephemeral') }}\nselect * exclude (customer) "
    "from {{ ref('passing') }}\n",
}
SAID = {
    "keyless": "the spine lacks key 'customer' of feature view 'spending'. Hint: add the column as "
    "VARCHAR",
    "timeless": "the spine has no column 'event_timestamp', of the instants asked. Hint: name it in "
    "the call, point_in_time(..., timestamp='...'); did you mean 'event_time'?",
    "numbered": "spine column 'customer' is a DOUBLE, but feature view 'spending' has it as VARCHAR",
    "taken": "spine column 'spending__payments_60d' is named like a feature",
}


@pytest.mark.slow
def test_what_a_spine_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = {
        f"{kind}_of_{spine}": f"{{{{ config(materialized='{kind}') }}}}\n"
        f"{{{{ point_in_time(spine=ref('{spine}'), service='churn') }}}}\n"
        for spine in SPINES
        for kind in ("training_set", "table")
    }
    files = {f"models/{name}.sql": text for name, text in {**SPINES, **sets}.items()}
    root = make_project(tmp_path / "shop", files)
    monkeypatch.chdir(root)
    project = Project(root)
    compile_project(project)
    with pytest.raises(DbtError) as refused:
        project.dbt(["build"], quiet=True)
    messages = {
        r.node.name: " ".join(str(r.message).split())
        for r in refused.value.results
        if str(r.status) == "error"
    }
    # What a table of dbt's own reads of an ephemeral model is defined only after the check.
    assert "customer" in messages.pop("table_of_hidden")
    assert SAID["keyless"] in messages.pop("training_set_of_hidden")
    assert set(messages) == {f"{kind}_of_{s}" for s in SAID for kind in ("training_set", "table")}
    for name, message in messages.items():
        assert SAID[name.partition("_of_")[2]] in message, name
