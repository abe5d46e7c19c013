"""A leaf that cannot be read: what reads it fails with the leaf's own error, and all else is built."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from forebay.dbt_project.dbt_errors import DbtError
from forebay.dbt_project.project import Project
from lakehouse.commit import commit_rows
from lakehouse.data_files import footers, manifests
from lakehouse.lake import load_table, open_lake
from lakehouse.local_path import local_path
from lakehouse.scan import pin
from tests.forebay.conftest import Shell
from tests.forebay.small import FILES, edit, lake_of, make_project, payments
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.slow

NOW = "2024-01-10T00:00:00+00:00"
SOURCES = """\
sources:
  - name: raw
    schema: raw
    tables:
      - name: payments
        config: {event_time: paid_at}
      - name: visits
        config: {event_time: paid_at}
      - name: labels
        columns: [{name: customer, data_tests: [not_null]}]
"""
VISITS = "select customer, count(*) as visits from {{ source('raw', 'visits') }} group by customer"
BOTH = """\
select v.customer, max(v.amount + p.amount) as most from {{ source('raw', 'visits') }} as v
join {{ source('raw', 'payments') }} as p on v.customer = p.customer group by v.customer
"""
TRAINING = "{{ config(materialized='training_set') }} {{ point_in_time(spine=%s, service='%s') }}"
TABLE = "{{ config(materialized='table') }} "
FIXED = TABLE + "select 'a' as customer, timestamptz '2024-01-05 00:00:00+00' as event_timestamp"
VIEW = """\
  - name: {}
    config:
      materialized: feature_view
      meta: {{feature_view: {{entities: [customer]}}}}
"""
SERVICE = """\
exposures:
  - name: visits_v1
    type: ml
    owner: {name: Growth}
    depends_on: [ref('visiting')]
"""
MODELS = {
    "models/sources.yml": SOURCES,
    "models/views.yml": FILES["models/views.yml"].replace(
        "exposures:\n", VIEW.format("visiting") + VIEW.format("both") + SERVICE
    ),
    "models/visiting.sql": VISITS,
    "models/both.sql": BOTH,
    "models/plain.sql": TABLE + "select count(*) as n from {{ source('raw', 'visits') }}",
    "models/fixed.sql": FIXED,
    "models/of_visits.sql": TRAINING % ("ref('fixed')", "visits_v1"),
    "models/of_fixed.sql": TRAINING % ("ref('fixed')", "fraud"),
    "models/of_labels.sql": TRAINING % ("source('raw', 'labels')", "fraud"),
}
#: What reads the visits, and the labels.
OF_VISITS, OF_LABELS = ("both", "plain", "visiting"), "source_not_null_raw_labels_customer"


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    root = make_project(tmp_path / "shop", MODELS)
    lake = open_lake(lake_of(root))
    commit_rows(lake, "raw.visits", payments(), mode="append")
    labels = payments((5,)).rename_columns(["customer", "event_timestamp", "late"])
    commit_rows(lake, "raw.labels", labels, mode="append")
    yield Shell(root, monkeypatch, capsys)


def forget(shell: Shell) -> None:
    """Read files anew that a process takes to never change, as the next process does."""
    shell.patch.setattr(footers, "_shapes", {})
    shell.patch.setattr(manifests, "_lists", manifests._Parsed(100))
    shell.patch.setattr(manifests, "_entries", manifests._Parsed(100))


def data_file(shell: Shell, table: str) -> Path:
    (file,) = pin(load_table(open_lake(lake_of(shell.folder)), table)).files
    return Path(local_path(file.data_file.file_path))


def rows(shell: Shell, view: str) -> dict[str, tuple[object, ...]]:
    """The feature table's rows by customer."""
    found = read_arrow(load_table(open_lake(lake_of(shell.folder)), f"main.{view}")).to_pylist()
    features = [n for n in found[0] if n != "customer" and not n.startswith("fb_")]
    return {row["customer"]: tuple(row[n] for n in features) for row in found}


def errors(shell: Shell) -> list[str]:
    return [line for line in shell.err.splitlines() if line.startswith("error: ")]


def statuses(error: DbtError) -> dict[str, str]:
    return {r.node.name: str(r.status) for r in error.results}


def test_what_reads_a_lost_leaf_fails_and_all_else_is_built(shell: Shell) -> None:
    assert shell.run("build") == 0, shell.out + shell.err
    before = {view: rows(shell, view) for view in ("visiting", "both")}
    assert before == {
        "visiting": {"a": (4,), "b": (4,)},
        "both": {"a": (160,), "b": (160,)},
    }
    lost = [data_file(shell, f"raw.{table}") for table in ("visits", "labels")]
    for path in lost:
        path.rename(path.with_suffix(".away"))
    forget(shell)
    lake = open_lake(lake_of(shell.folder))
    commit_rows(lake, "raw.payments", payments((9,)), mode="append")

    said = [f"{p}: Iceberg table 'raw.{t}' cannot be read: a data file is missing" for p, t in
            zip(lost, ("visits", "labels"), strict=True)]  # fmt: skip
    assert shell.run("build") == 2
    assert len(errors(shell)) == 2 and all("Hint: restore it" in line for line in errors(shell))
    of_visits, of_labels = sorted(errors(shell), key=lambda line: "'raw.labels'" in line)
    assert said[0] in of_visits and all(f"model.shop.{name}" in of_visits for name in OF_VISITS)
    assert said[1] in of_labels and OF_LABELS in of_labels
    assert rows(shell, "spending")["a"] == (5, 230, 90)
    assert {view: rows(shell, view) for view in ("visiting", "both")} == before

    # Plain dbt does the same, and says so in its own summary.
    commit_rows(lake, "raw.payments", payments((7,)), mode="append")
    with pytest.raises(DbtError) as refused:
        Project(shell.folder).dbt(["build"], quiet=True)
    found = statuses(refused.value)
    assert {name for name, status in found.items() if status == "error"} == {*OF_VISITS, OF_LABELS}
    assert {name for name, status in found.items() if status == "skipped"} >= {
        "of_visits",
        "of_labels",
    }
    assert found["spending"] == found["last_payment"] == found["of_fixed"] == "success"
    assert rows(shell, "spending")["a"] == (6, 300, 90)

    # No command answers from what the leaf held, and none stops for the others.
    assert shell.run("plan", "--json") == 2
    plans = {p["view"]: p["recompute"] for p in json.loads(shell.out)["views"]}
    assert plans == dict.fromkeys(("spending", "last_payment"), "nothing") | dict.fromkeys(
        ("visiting", "both"), "failed"
    )
    assert len(errors(shell)) == 1 and said[0] in shell.err
    assert shell.run("docs") == 2 and len(errors(shell)) == 2
    assert (shell.folder / "target/catalog.json").exists()
    assert said[0] in shell.refused("preview", "both", "--key", "customer=a")
    assert shell.run("preview", "spending", "--key", "customer=a") == 0
    spine = shell.folder / "spine.csv"
    spine.write_text("customer,event_timestamp\na,2024-01-05T00:00:00Z\n")
    assert said[0] in shell.refused("train", "visits_v1", "--spine", str(spine))
    assert shell.run("train", "fraud", "--spine", str(spine)) == 0, shell.err
    assert shell.run("advance", "--until", "2024-01-11T00:00:00+00:00", "--check", "--json") == 2
    stepped = {d["view"]: d.get("differing", d.get("error")) for d in json.loads(shell.out)}
    assert stepped["spending"] == stepped["last_payment"] == 0
    assert all(said[0] in stepped[view] for view in ("visiting", "both"))
    # Sync and verify read feature tables alone, which are as they were built last.
    assert shell.run("sync") == 0, shell.err
    assert shell.run("verify", "--now", "2024-01-11T00:00:00+00:00") == 0, shell.out

    for path in lost:
        path.with_suffix(".away").rename(path)
    assert shell.run("build", "--now", "2024-01-11T00:00:00+00:00") == 0, shell.err
    assert rows(shell, "both") == {"a": (170,), "b": (170,)}
    with duckdb.connect(shell.folder / "target/shop.duckdb") as connection:
        assert connection.execute("select count(*) from raw.visits").fetchall() == [(8,)]


def test_a_leaf_of_which_nothing_is_known_leaves_its_views_out(shell: Shell) -> None:
    """After `dbt clean` nothing tells the columns of a table that cannot be read."""
    lake = open_lake(lake_of(shell.folder))
    metadata = Path(local_path(load_table(lake, "raw.visits").metadata_location))
    whole = metadata.read_bytes()
    metadata.write_bytes(whole[:100])
    assert shell.run("build") == 2
    (line,) = errors(shell)
    assert "table raw.visits: Iceberg table 'raw.visits' cannot be read: a metadata file" in line
    assert all(f"model.shop.{name}" in line for name in (*OF_VISITS, "of_visits"))
    assert rows(shell, "spending")["a"] == (4, 140, 80)
    assert "a metadata file is damaged" in shell.refused("compile")
    for words in (("sync", "--json"), ("verify", "--json", "--now", NOW)):
        assert shell.run(*words) == 2
        failed = {r["view"]: r["error"] for r in json.loads(shell.out) if r["error"]}
        assert failed.keys() == {"visiting", "both"}
        assert "a metadata file is damaged" in failed["both"]
    assert "a metadata file is damaged" in shell.refused("sync", "visiting")
    assert shell.run("plan") == 2 and "2 cannot be built" in shell.out
    assert "a metadata file is damaged" in shell.refused("train", "visits_v1", "--spine", "x.csv")
    metadata.write_bytes(whole)
    assert shell.run("build") == 0, shell.err
    assert rows(shell, "visiting") == {"a": (4,), "b": (4,)}


def test_all_leaves_and_files_that_are_damaged_inside(shell: Shell) -> None:
    shutil.rmtree(shell.folder / "models")
    for name in ("sources.yml", "views.yml", "visiting.sql", "both.sql"):
        (shell.folder / "models").mkdir(exist_ok=True)
        (shell.folder / "models" / name).write_text(MODELS[f"models/{name}"])
    for name in ("stg_payments.sql", "spending.sql", "last_payment.sql"):
        (shell.folder / "models" / name).write_text(FILES[f"models/{name}"])
    edit(shell.folder, "models/sources.yml", ", data_tests: [not_null]", "")
    paths = [data_file(shell, f"raw.{table}") for table in ("payments", "visits")]
    whole = [path.read_bytes() for path in paths]
    # The pages stand between the head and the footer: these are found damaged when they are read.
    paths[1].write_bytes(whole[1][:4] + b"\xff" * 40 + whole[1][44:])
    assert shell.run("build") == 2
    assert rows(shell, "spending")["a"] == (4, 140, 80)
    assert all(str(paths[1]) in line and "cannot be read" in line for line in errors(shell))
    assert all(f"model.shop.{name}" in shell.err for name in ("visiting", "both"))
    forget(shell)

    for path in paths:
        path.write_bytes(b"hello")
    lake = open_lake(lake_of(shell.folder))
    lake.drop_table("raw.labels")
    assert shell.run("build") == 2
    assert all(f"'raw.{t}' cannot be read" in shell.err for t in ("payments", "visits"))
    # A source that was in the lake and is there no more reads as nothing either.
    with duckdb.connect(shell.folder / "target/shop.duckdb") as connection:
        for table, what in (("payments", "cannot be read"), ("labels", "no Iceberg table")):
            with pytest.raises(duckdb.Error, match=what):
                connection.execute(f"select count(*) from raw.{table}")
        with pytest.raises(duckdb.Error, match="cannot be read"):
            connection.execute("select count(*) from main.stg_payments")

    for path, content in zip(paths, whole, strict=True):
        path.write_bytes(content)
    commit_rows(lake, "raw.payments", payments((9,)), mode="append")
    assert shell.run("build") == 0, shell.err
    assert rows(shell, "spending")["a"] == (5, 230, 90)
    assert rows(shell, "both") == {"a": (170,), "b": (170,)}
