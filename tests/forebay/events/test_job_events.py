"""What commands tell as OpenLineage events, on a small project."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from forebay.open_project import open as open_project
from lakehouse.content_hash import hash_file
from lakehouse.lake import load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.small import edit, lake_of, make_project
from tests.lineage.events.receiver import http_receiver
from tests.lineage.events.schemas import check_event, read_events

pytestmark = pytest.mark.slow

SPINE = "customer,event_timestamp\na,2024-01-04T00:00:00Z\nb,2024-01-09T12:00:00Z\n"


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """A shell in a project whose payments are loaded."""
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FOREBAY_OPENLINEAGE_WAIT", "60")
    return Shell(make_project(tmp_path / "shop"), monkeypatch, capsys)


def run(shell: Shell, *words: str) -> list[dict[str, Any]]:
    """The events of a command that succeeds, each as its schemas say."""
    log = shell.folder / "target" / "openlineage" / "events.ndjson"
    known = len(log.read_text().splitlines()) if log.exists() else 0
    assert shell.run(*words) == 0, shell.err + shell.out
    return read_events(shell.folder)[known:]


def job(events: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The last event of a job, which has ended well."""
    (start, *_, end) = [event for event in events if event["job"]["name"] == name]
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    return end


def table_name(root: Path, table: str) -> tuple[str, str]:
    return "file", f"{root}/lake/warehouse/{table.replace('.', '/')}"


def named(dataset: dict[str, Any]) -> tuple[str, str]:
    return dataset["namespace"], dataset["name"]


def test_ingest(project: Shell) -> None:
    root = project.folder
    (root / "rates.csv").write_text("name,rate\na,1.5\nb,2.5\n")
    end = job(run(project, "ingest", "raw.rates", "rates.csv"), "shop.ingest.raw.rates")
    (read,), (wrote,) = end["inputs"], end["outputs"]
    assert named(read) == ("file", f"{root}/rates.csv")
    assert named(wrote) == table_name(root, "raw.rates")
    table = load_table(open_lake(lake_of(root)), "raw.rates")
    snapshot = table.current_snapshot()
    assert snapshot is not None
    facets = wrote["facets"]
    assert facets["version"]["datasetVersion"] == str(snapshot.snapshot_id)
    assert facets["lifecycleStateChange"]["lifecycleStateChange"] == "CREATE"
    assert wrote["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert [(f["name"], f["type"]) for f in facets["schema"]["fields"]] == [
        ("name", "string"),
        ("rate", "double"),
    ]
    (symlink,) = facets["symlinks"]["identifiers"]
    assert (symlink["namespace"], symlink["name"]) == (f"file:{root}/lake/warehouse", "raw.rates")
    (root / "rates.csv").write_text("name,rate,at\nc,3.5,x\n")
    ends = [
        job(run(project, "ingest", "raw.rates", "rates.csv", option), "shop.ingest.raw.rates")
        for option in ("--evolve", "--replace")
    ]
    changes = [e["outputs"][0]["facets"]["lifecycleStateChange"] for e in ends]
    assert [c["lifecycleStateChange"] for c in changes] == ["ALTER", "OVERWRITE"]


def test_build(project: Shell) -> None:
    root = project.folder
    tests = "models: [{name: stg_payments, columns: [{name: customer, data_tests: [not_null]}]}]\n"
    (root / "models" / "staging.yml").write_text(tests)
    events = run(project, "build")
    whole = job(events, "dbt-run-shop")
    assert whole["run"]["facets"]["nominalTime"]["nominalStartTime"].startswith("2024-01-10T00:00")
    names = {event["job"]["name"] for event in events}
    models = ("spending", "last_payment", "stg_payments")
    assert names == {
        "dbt-run-shop",
        *(f"shop.main.shop.{model}.build.run" for model in models),
        "shop.main.shop.stg_payments.build.test",
    }
    assert {event["job"]["namespace"] for event in events} == {"dbt"}
    parents = {e["run"]["facets"].get("parent", {}).get("run", {}).get("runId") for e in events}
    assert parents == {None, whole["run"]["runId"]}

    end = job(events, "shop.main.shop.spending.build.run")
    assert "interval '60' day" in end["job"]["facets"]["sql"]["query"]
    (read,), (wrote,) = end["inputs"], end["outputs"]
    assert named(read) == table_name(root, "raw.payments")
    assert named(wrote) == table_name(root, "main.spending")
    lake = open_lake(lake_of(root))
    leaf, table = load_table(lake, "raw.payments"), load_table(lake, "main.spending")
    for dataset, iceberg in ((read, leaf), (wrote, table)):
        snapshot = iceberg.current_snapshot()
        assert snapshot is not None
        assert dataset["facets"]["version"]["datasetVersion"] == str(snapshot.snapshot_id)
    duckdb = ("duckdb://target/shop.duckdb", "shop.raw.payments")
    links = [(i["namespace"], i["name"]) for i in read["facets"]["symlinks"]["identifiers"]]
    assert duckdb in links
    lineage = wrote["facets"]["columnLineage"]
    most = lineage["fields"]["most_60d"]["inputFields"]
    assert {(*named(f), f["field"]) for f in most} == {
        (*table_name(root, "raw.payments"), "amount")
    }
    (transformation,) = most[0]["transformations"]
    assert transformation["subtype"] == "AGGREGATION" and not transformation["masking"]
    assert {f["field"] for f in lineage["dataset"]} == {"customer", "paid_at"}

    staging = job(events, "shop.main.shop.stg_payments.build.run")
    (model,) = staging["outputs"]
    assert named(model) == ("duckdb://target/shop.duckdb", "shop.main.stg_payments")
    (tested,) = job(events, "shop.main.shop.stg_payments.build.test")["inputs"]
    (assertion,) = tested["inputFacets"]["dataQualityAssertions"]["assertions"]
    told = (assertion["assertion"], assertion["column"], assertion["success"])
    assert told == ("not_null", "customer", True)


def test_advance_and_backfill(project: Shell) -> None:
    root = project.folder
    run(project, "build")
    advanced = run(project, "advance", "spending", "--until", "2024-01-11T00:00:00Z")
    whole, end = job(advanced, "shop.advance"), job(advanced, "shop.advance.spending")
    assert whole["run"]["facets"]["nominalTime"]["nominalStartTime"].startswith("2024-01-11T00")
    assert [named(d) for d in end["inputs"]] == [table_name(root, "raw.payments")]
    assert [named(d) for d in end["outputs"]] == [table_name(root, "main.spending")]
    words = ("--every", "1 day", "--from", "2024-01-08T00:00:00Z", "--to", "2024-01-09T00:00:00Z")
    end = job(run(project, "backfill", "spending", *words), "shop.backfill.spending")
    assert [named(d) for d in end["inputs"]] == [table_name(root, "raw.payments")]
    (wrote,) = end["outputs"]
    assert set(wrote["facets"]["columnLineage"]["fields"]) >= {"customer", "spent_60d"}


def test_a_build_that_fails(project: Shell) -> None:
    edit(project.folder, "models/spending.sql", "max(amount)", "max(cast(customer as int))")
    assert project.run("build") == 2
    events = read_events(project.folder)
    ends = {e["job"]["name"]: e for e in events if e["eventType"] != "START"}
    assert ends["dbt-run-shop"]["eventType"] == "FAIL"
    failed = ends["shop.main.shop.spending.build.run"]
    assert failed["eventType"] == "FAIL" and failed["outputs"] == []
    assert failed["run"]["facets"]["errorMessage"]["message"]
    assert ends["shop.main.shop.last_payment.build.run"]["eventType"] == "COMPLETE"


def test_maintain(project: Shell) -> None:
    events = run(project, "maintain")
    end = job(events, "shop.maintain.raw.payments")
    assert [named(d) for d in end["outputs"]] == [table_name(project.folder, "raw.payments")]
    assert run(project, "maintain", "--dry-run") == []


def test_drop_and_erase(project: Shell) -> None:
    run(project, "build")
    erased = run(project, "erase", "customer=a", "--yes")
    end = job(erased, "shop.erase")
    tables = {named(d): d["facets"]["lifecycleStateChange"] for d in end["outputs"]}
    names = ("raw.payments", "main.spending", "main.spending__history", "main.last_payment")
    assert set(tables) >= {table_name(project.folder, name) for name in names}
    assert {c["lifecycleStateChange"] for c in tables.values()} == {"OVERWRITE"}
    # The entity is named nowhere.
    assert "customer=a" not in json.dumps(erased)
    assert run(project, "erase", "customer=b", "--dry-run") == []

    assert run(project, "drop", "raw.payments", "--dry-run") == []
    table = load_table(open_lake(lake_of(project.folder)), "raw.payments")
    snapshot = table.current_snapshot()
    assert snapshot is not None
    dropped = run(project, "drop", "raw.payments", "--yes", "--force")
    (gone,) = job(dropped, "shop.drop.raw.payments")["outputs"]
    assert named(gone) == table_name(project.folder, "raw.payments")
    assert gone["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "DROP"
    assert gone["facets"]["version"]["datasetVersion"] == str(snapshot.snapshot_id)


def test_a_refused_ingest_fails(project: Shell) -> None:
    (project.folder / "rates.csv").write_text("name,rate\na,1.5\nb\n")
    project.refused("ingest", "raw.rates", "rates.csv")
    start, fail = read_events(project.folder)
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    assert "rates.csv" in fail["run"]["facets"]["errorMessage"]["message"]


def test_sync_and_train(project: Shell) -> None:
    root = project.folder
    run(project, "build")
    synced = run(project, "sync")
    whole = job(synced, "shop.sync")
    for view in ("spending", "last_payment"):
        end = job(synced, f"shop.sync.{view}")
        assert end["run"]["facets"]["parent"]["run"]["runId"] == whole["run"]["runId"]
        assert [named(d) for d in end["inputs"]] == [table_name(root, f"main.{view}")]
        assert [named(d) for d in end["outputs"]] == [("file", f"{root}/online.lmdb/{view}")]
        assert end["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 2
        fields = end["outputs"][0]["facets"]["columnLineage"]["fields"]
        (cell,) = fields["customer"]["inputFields"]
        assert (*named(cell), cell["field"]) == (*table_name(root, f"main.{view}"), "customer")
    again = run(project, "sync")
    assert {event["job"]["name"] for event in again} == {"shop.sync"}
    assert run(project, "sync", "--dry-run") == []

    (root / "spine.csv").write_text(SPINE)
    words = ("train", "fraud", "--spine", "spine.csv", "--out", "t.parquet")
    end = job(run(project, *words), "shop.train.fraud")
    assert end["job"]["facets"]["ownership"]["owners"] == [{"name": "Risk"}]
    sql = end["job"]["facets"]["sql"]
    assert sql["dialect"] == "duckdb" and "last_payment__features" in sql["query"]
    spine, leaf = end["inputs"]
    assert named(spine) == ("file", f"{root}/spine.csv")
    assert spine["inputFacets"]["inputStatistics"]["rowCount"] == 2
    assert named(leaf) == table_name(root, "raw.payments")
    condition = leaf["inputFacets"]["subset"]["inputCondition"]
    assert condition["left"]["field"] == "paid_at"
    assert condition["comparison"] == "LESS_EQUAL_THAN"
    until = datetime.fromisoformat(condition["right"]["value"])
    assert until == datetime(2024, 1, 9, 12, tzinfo=UTC)
    (wrote,) = end["outputs"]
    assert named(wrote) == ("file", f"{root}/t.parquet")
    assert wrote["facets"]["version"]["datasetVersion"] == hash_file(root / "t.parquet")
    columns = [field["name"] for field in wrote["facets"]["schema"]["fields"]]
    assert columns == pq.read_schema(root / "t.parquet").names
    fields = wrote["facets"]["columnLineage"]["fields"]
    assert {f["field"] for f in fields["spending__spent_60d"]["inputFields"]} == {
        "customer", "paid_at", "amount",
    }  # fmt: skip
    statistics = wrote["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"]) == (2, (root / "t.parquet").stat().st_size)
    assert run(project, *words, "--dry-run") == []


def test_a_lag_moves_the_bound_of_the_features(project: Shell) -> None:
    (project.folder / "spine.csv").write_text(SPINE)
    run(project, "compile")
    words = ("--spine", "spine.csv", "--out", "t.parquet", "--lag", "12 hours")
    end = job(run(project, "train", "fraud", *words), "shop.train.fraud")
    bound = end["inputs"][1]["inputFacets"]["subset"]["inputCondition"]["right"]["value"]
    assert datetime.fromisoformat(bound) == datetime(2024, 1, 9, tzinfo=UTC)


def test_a_set_of_the_python_api_that_is_written(project: Shell) -> None:
    root = project.folder
    (root / "spine.csv").write_text(SPINE)
    run(project, "compile")
    with open_project(root).training_set("churn", root / "spine.csv") as made:
        made.write(root / "t.parquet")
    end = job(read_events(root), "shop.train.churn")
    assert [named(d) for d in end["outputs"]] == [("file", f"{root}/t.parquet")]


def test_a_receiver_gets_what_the_file_would(project: Shell) -> None:
    (project.folder / "rates.csv").write_text("name,rate\na,1.5\n")
    with http_receiver() as receiver:
        project.patch.setenv("OPENLINEAGE_URL", receiver.url)
        assert project.run("ingest", "raw.rates", "rates.csv") == 0
    for event in receiver.events:
        check_event(event)
    assert [e["eventType"] for e in receiver.events] == ["START", "COMPLETE"]
    assert not (project.folder / "target" / "openlineage").exists()
    assert "OpenLineage" not in project.err


def test_a_job_that_cannot_deliver_says_so_in_one_line(project: Shell) -> None:
    (project.folder / "rates.csv").write_text("name,rate\na,1.5\n")
    project.patch.setenv("FOREBAY_OPENLINEAGE_WAIT", "0.2")
    with http_receiver(hangs=True) as receiver:
        project.patch.setenv("OPENLINEAGE_URL", receiver.url)
        assert project.run("ingest", "raw.rates", "rates.csv", "--json") == 0
    assert json.loads(project.out)["rows"] == 1
    lines = [line for line in project.err.splitlines() if line.startswith("OpenLineage")]
    assert len(lines) == 1 and lines[0].startswith("OpenLineage: 2 of 2 events were dropped")


@pytest.mark.slow
def test_monitor(project: Shell) -> None:
    """Its checks are assertions about the views' tables; of a view that is stale one has failed."""
    old = "entities: [customer], ttl: 7 days"
    edit(project.folder, "models/views.yml", old, f"{old}, freshness: 1 day")
    for word in ("build", "sync"):
        assert project.run(word) == 0, project.err
    before = len(read_events(project.folder))
    assert project.run("monitor", "--now", "2024-01-12T00:00:00Z") == 1, project.err
    end = job(read_events(project.folder)[before:], "shop.monitor")
    told = {
        named(each)[1].rpartition("/")[2]: {
            (a["assertion"], a.get("column")): a["success"]
            for a in each["inputFacets"]["dataQualityAssertions"]["assertions"]
        }
        for each in end["inputs"]
    }
    assert told == {
        "spending": {("parity", None): True, ("freshness", None): True},
        "last_payment": {("parity", None): True, ("freshness", None): False},
    }
    assert project.run("monitor", "--dry-run", "--now", "2024-01-12T00:00:00Z") == 1
    assert len(read_events(project.folder)) == before + 2, "a dry run is no run of the job"
