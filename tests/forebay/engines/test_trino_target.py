"""`forebay build --target trino`: dbt-trino on the lake of the DuckDB target."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from lakehouse.lake import load_table, read_state
from lakehouse.scan import pin
from lakehouse.training_record import read_property
from tests.forebay.engines.conftest import SharedProject, make_project, postgres_lake
from tests.forebay.engines.test_train_elsewhere import _same
from tests.servers.postgres import PostgresServer
from tests.servers.trino import TrinoServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

_EARLIER, _LATER = "2024-01-12T00:00:00+00:00", "2024-01-14T00:00:00+00:00"
_FILES = {
    "models/views.yml": """\
models:
  - name: sums
    config:
      materialized: feature_view
      contract: {enforced: true}
      meta: {feature_view: {entities: [k]}}
    columns:
      - {name: k, data_type: varchar, data_tests: [unique, not_null]}
      - {name: n, data_type: bigint}
      - {name: money, data_type: "decimal(38,2)"}
      - {name: floats, data_type: double}
  - name: last_event
    config:
      materialized: feature_view
      event_time: ts
      meta: {feature_view: {entities: [k], tie_break: [i]}}
  - name: labels
    config: {materialized: view}
  - name: training
    description: What the model is trained on.
    config: {materialized: training_set, persist_docs: {relation: true}}
    columns:
      - {name: label, data_tests: [not_null]}
unit_tests:
  - name: labels_are_numbers
    model: labels
    given:
      - input: source('raw', 'events')
        rows: [{k: a, ts: "2024-01-01 00:00:00 UTC", i: 3}]
    expect:
      rows: [{k: a, label: 3}]
exposures:
  - name: edges
    type: ml
    owner: {name: Edges}
    depends_on: [ref('sums'), ref('last_event')]
    config: {meta: {feature_service: {features: [sums.*, last_event.x, last_event.flag]}}}
""",
    "models/sums.sql": """\
select k, count(*) as n, sum(d) as money, sum(x) as floats
from {{ source('raw', 'events') }} where ts > current_timestamp - interval '10' day group by k
""",
    "models/labels.sql": """\
select k, ts as event_timestamp, i as label from {{ source('raw', 'events') }} where i is not null
""",
    "models/training.sql": """\
select * from ({{ point_in_time(spine=ref('labels'), service='edges', lag='1 hour') }}) as rows_of_it
""",
}


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, trino: TrinoServer
) -> SharedProject:
    root = tmp_path_factory.mktemp("target")
    database = postgres.create_database()
    lake = postgres_lake(root, postgres, database)
    make_project(root, lake, port=trino.port, catalog=database)
    trino.create_lake_catalog(database, postgres, database, lake["warehouse"])
    for name in ("lists", "mapped_sums", "none"):
        (root / "models" / f"{name}.sql").unlink()
    for file, text in _FILES.items():
        (root / file).write_text(text)
    made = SharedProject(root, lake, "trino", database, lambda: pytest.fail("not connected to"))
    made.run("build", "--now", _EARLIER)
    return made


def _rows(project: SharedProject, table: str) -> list[tuple[object, ...]]:
    """Names and types of the columns, then the rows in order."""
    with duckdb.connect() as connection:
        relation = connection.sql(pin(load_table(project.open_lake(), table)).sql)
        kinds = tuple(zip(relation.columns, map(str, relation.types), strict=True))
        return [kinds, *relation.order("all").fetchall()]


def _fails(project: SharedProject, *words: str) -> str:
    process = project.start(*words)
    said, _ = process.communicate()
    assert process.returncode == 2, said
    return said


def test_the_target_builds_what_duckdb_builds(project: SharedProject) -> None:
    """It steps what DuckDB has built, and its training set is DuckDB's."""
    said = project.run("build", "--target", "trino", "--now", _LATER)
    assert "sums: step on trino" in said and "last_event: step on trino" in said
    assert "PASS labels::labels_are_numbers" in said and "PASS unique_sums_k" in said
    made = _rows(project, "main.training")
    record = read_property(load_table(project.open_lake(), "main.training"))
    assert record is not None and record["service"] == "edges"
    assert record["lag_us"] == 3_600_000_000
    assert record["leaves"] and all(leaf["snapshot"] for leaf in record["leaves"].values())
    views = {v: _rows(project, f"main.{v}") for v in ("sums", "last_event")}
    states = {v: read_state(load_table(project.open_lake(), f"main.{v}")) for v in views}
    said = project.run("build", "--now", _LATER)
    assert "sums: nothing" in said and "last_event: nothing" in said
    mine = _rows(project, "main.training")
    assert made[0] == mine[0] and len(made) == len(mine) > 40
    for left, right in zip(made[1:], mine[1:], strict=True):
        assert all(map(_same, left, right)), (left, right)
    project.run("build", "--full-refresh", "--now", _LATER)
    for view, rows in views.items():
        again = _rows(project, f"main.{view}")
        assert again[0] == rows[0] and len(again) == len(rows) > 1
        assert all(all(map(_same, a, b)) for a, b in zip(again[1:], rows[1:], strict=True))
        assert read_state(load_table(project.open_lake(), f"main.{view}")) == states[view]
    assert project.scratch() == []


def test_a_contract_that_does_not_hold_stops_a_view(project: SharedProject) -> None:
    file = project.root / "models" / "views.yml"
    text = file.read_text()
    file.write_text(text.replace("{name: n, data_type: bigint}", "{name: n, data_type: integer}"))
    try:
        said = _fails(project, "build", "--target", "trino", "--select", "sums", "--now", _LATER)
    finally:
        file.write_text(text)
    assert "its contract does not hold for n" in said and "declare n BIGINT" in said


def test_dbt_alone_is_told_to_run_forebay(project: SharedProject, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "build"]
    options = ["--target", "trino", "--select", "sums", "--profiles-dir", "profiles"]
    done = subprocess.run(
        [*command, *options, "--target-path", "target"],
        cwd=project.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "run `forebay build --target trino`" in done.stdout
