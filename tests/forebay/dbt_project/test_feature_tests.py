"""The generic tests of features, run by dbt: each passes where it holds, and fails where it does not."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from feature_specs.errors import DataError, ForebayError
from forebay.commands.build import build
from forebay.compilation.compile_project import compile_project
from forebay.dbt_project.feature_tests import failing_rows
from forebay.dbt_project.project import find_project
from lakehouse.commit import commit_rows
from lakehouse.dbt_plugin import NOW_VARIABLE
from lakehouse.lake import open_lake
from serving.stores import StoredView, open_store
from serving.sync import sync
from tests.forebay.small import VIEWS, edit, lake_of, make_project
from tests.serving.stored_rows import encode_row

pytestmark = pytest.mark.slow

OF_VIEW: list[Any] = [
    "online_equals_offline",
    {"fresh_within": {"arguments": {"period": "1 hour", "online": True}}},
    "one_row_per_entity",
]
OF_COLUMN = [
    {"drift_below": {"arguments": {"psi": 10, "rows": 2}}},
    {"null_rate_below": {"arguments": {"share": 0.5}}},
]
TRAINING = {
    "models/labels.sql": "select customer, paid_at as event_timestamp from {{ ref('stg_payments') }}",
    "models/train.sql": "{{ config(materialized='training_set') }}\n"
    "{{ point_in_time(spine=ref('labels'), service='fraud') }}",
}


def with_tests() -> str:
    """The project's YAML with every test on its views."""
    said = yaml.safe_load(VIEWS)
    spending, last = said["models"]
    spending["data_tests"] = OF_VIEW
    spending["columns"] = [{"name": "spent_60d", "data_tests": OF_COLUMN}]
    last["columns"] = [{"name": "paid_at", "data_tests": ["no_future_rows"]}]
    return str(yaml.safe_dump(said))


def payments(rows: list[tuple[str, datetime, int | None]]) -> pa.Table:
    customers, times, amounts = zip(*rows, strict=True)
    return pa.table(
        {
            "customer": pa.array(customers, pa.string()),
            "paid_at": pa.array(times, pa.timestamp("us", tz="UTC")),
            "amount": pa.array(amounts, pa.int64()),
        }
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project with every test on its views, built, its tests with it, and synced."""
    changed = {"models/views.yml": with_tests(), **TRAINING}
    made = make_project(tmp_path_factory.mktemp("tests"), changed)
    edit(
        made,
        "dbt_project.yml",
        "flags: {",
        "flags: {require_generic_test_arguments_property: true, ",
    )
    project = find_project(made)
    build(project, quiet=True)
    sync(project.catalog())
    return made


def run_tests(root: Path) -> dict[str, int]:
    """What `dbt test` says: tests that fail by name, and how many rows each found."""
    with suppress(ForebayError):
        find_project(root).dbt(["test"], quiet=True)
    results = json.loads((root / "target" / "run_results.json").read_text())["results"]
    results = [r for r in results if r["unique_id"].startswith("test.")]
    assert {r["status"] for r in results} <= {"pass", "fail"}, results
    assert len(results) >= 6
    names = {r["unique_id"].split(".")[2]: r["failures"] for r in results if r["failures"]}
    return {name.removesuffix("_"): count for name, count in names.items()}


@pytest.mark.slow
def test_what_holds_and_what_does_not(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_tests(root) == {}
    project = find_project(root)
    at = datetime(2024, 1, 9, tzinfo=UTC)
    rows: list[tuple[str, datetime, int | None]] = [(f"c{n}", at, None) for n in range(10)]
    rows.append(("d", datetime(2024, 1, 20, tzinfo=UTC), 1))
    commit_rows(open_lake(lake_of(root)), "raw.payments", payments(rows), mode="append")
    with pytest.raises(ForebayError):
        build(project, quiet=True)
    sync(project.catalog())
    said = yaml.safe_load((root / "models/views.yml").read_text())
    staged = {
        "name": "stg_payments",
        "columns": [{"name": "paid_at", "data_tests": ["no_future_rows"]}],
    }
    staged["data_tests"] = [{"one_row_per_entity": {"arguments": {"entities": ["customer"]}}}]
    said["models"].append(staged)
    (root / "models/views.yml").write_text(yaml.safe_dump(said))
    compile_project(project)
    store = open_store(project.catalog().online)
    view = StoredView.of(project.catalog().view("spending"))
    store.write(
        view,
        [(b"a", encode_row(None, ["4", "140", "81"]))],
        [],
        store.get_state(view) or b"",
        replace=False,
    )
    store.close()
    monkeypatch.setenv(NOW_VARIABLE, "2024-01-10T01:00:00.000001+00:00")
    found = run_tests(root)
    assert {name.split("_spending")[0]: count for name, count in found.items()} == {
        "online_equals_offline": 1,
        "fresh_within": 2,
        "drift_below": 1,
        "null_rate_below": 1,
        "one_row_per_entity_stg_payments_customer": 2,
        "no_future_rows_stg_payments_paid_at": 1,
    }


@pytest.mark.parametrize(
    ("test", "arguments"),
    [
        ("fresh_within", {"period": "1 hour", "online": False}),
        ("drift_below", {"column": "spent_60d", "given": {"psi": 0.2}}),
        ("no_future_rows", {"column": "paid_at"}),
    ],
)
def test_of_a_view_that_is_not_built_none_passes(
    tmp_path: Path, test: str, arguments: dict[str, Any]
) -> None:
    project = find_project(make_project(tmp_path))
    compile_project(project)
    catalog = project.catalog()
    request = {
        "test": test,
        "node": catalog.view("spending").unique_id,
        "relation": "main.spending",
        "arguments": arguments,
        "command": "test",
    }
    with pytest.raises(DataError, match="'spending' is not built yet"):
        failing_rows(catalog, project.folder, request, datetime(2024, 1, 10, tzinfo=UTC))
