"""Builds of leaves that go wrong: what reads them is held back, and everything else is built."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from feature_specs.errors import ForebayError
from forebay.dbt_project.project import Project
from lakehouse.lake import find_table, load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.marts import day, make_marts, set_day
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.slow

SEED_TEST = """
seeds:
  - name: segments
    columns: [{name: weight, data_tests: [not_null]}]
"""


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    root = tmp_path / "shop"
    make_marts(root)
    for view in ("by_record", "by_stamp"):
        (root / f"models/features/{view}.sql").unlink()
    features = (root / "models/features/features.yml").read_text()
    lines = [line for line in features.splitlines() if not line.startswith("  - {name: by_")]
    lines.insert(2, "  - {name: by_check, config: {meta: {feature_view: {entities: [segment]}}}}")
    text = "\n".join(lines).replace(
        "ref('by_check'), ref('by_record'), ref('by_stamp')", "ref('by_check')"
    )
    (root / "models/features/features.yml").write_text(text + "\n")
    (root / "seeds/seeds.yml").write_text(SEED_TEST)
    set_day(root, 0, [(1, "small", 10, day(-1))], [(1, 1, 5, day(-1), day(-1))])
    return Shell(root, monkeypatch, capsys)


def seed(shell: Shell, text: str) -> None:
    (shell.folder / "seeds/segments.csv").write_text(text)


def rows(shell: Shell, table: str) -> list[dict[str, object]]:
    found = read_arrow(load_table(open_lake(Project(shell.folder).lake), f"main.{table}"))
    return [{n: v for n, v in row.items() if not n.startswith("fb_")} for row in found.to_pylist()]


def test_what_reads_a_leaf_that_failed_is_held_back(shell: Shell) -> None:
    now = ("--now", day(1).isoformat())
    assert shell.run("compile") == 2
    assert "seed 'segments' is not built yet" in shell.err and "run `forebay build`" in shell.err
    assert shell.run("build", *now) == 0, shell.out + shell.err
    before = rows(shell, "by_check")
    assert before == [{"segment": "small", "customers": 1, "balance": 10, "weight": 1}]

    # A test of the seed fails: its rows stay where they are, its view is not built, others are.
    seed(shell, "segment,weight\nsmall,\nlarge,7\n")
    set_day(shell.folder, 0, [(1, "small", 10, day(-1))], [(2, 1, 6, day(-1), day(-1))])
    line = shell.refused("build", *now)
    assert "not_null_segments_weight" in line
    assert rows(shell, "by_check") == before and {r["weight"] for r in rows(shell, "segments")} == {
        1,
        3,
    }
    assert rows(shell, "orders_7d") == [{"customer_id": 1, "orders_7d": 2, "amount_7d": 11}]
    with pytest.raises(ForebayError, match="Got 1 result"):
        Project(shell.folder).dbt(["build"])
    assert rows(shell, "by_check") == before and {r["weight"] for r in rows(shell, "segments")} == {
        1,
        3,
    }

    # Fixed, and with another column: plain dbt copies the rows and says that views are of the old.
    seed(shell, "segment,weight,name\nsmall,2,S\nlarge,7,L\n")
    with pytest.raises(ForebayError, match="columns are others than when") as caught:
        Project(shell.folder).dbt(["build", "--full-refresh", "--exclude", "fct_orders+"])
    assert "forebay compile" in str(caught.value)
    assert shell.run("build", *now, "--select", "by_check") == 0, shell.err
    (row,) = rows(shell, "by_check")
    assert row["weight"] == 2

    # An empty run commits nothing, whatever it does to the tables of the database.
    Project(shell.folder).dbt(["build", "--empty", "--select", "+spent_now"])
    assert rows(shell, "spent_now") == [{"customer_id": 1, "spent": 11}]
    assert rows(shell, "spent") == [{"customer_id": 1, "spent": 11}]

    # A database file that was lost does not take the snapshot's history along.
    kept = rows(shell, "customers_check")
    (shell.folder / "shop.duckdb").unlink()
    set_day(shell.folder, 2, [(1, "small", 12, day(-1))], [(1, 1, 5, day(-1), day(-1))])
    assert "are gone from the snapshot" in shell.refused("build", *now)
    assert rows(shell, "customers_check") == kept


def test_a_project_that_dbt_has_built_before_compiles_at_once(shell: Shell) -> None:
    """`forebay compile` takes over what the database holds already."""
    macros = shell.folder / "target/forebay/macros"
    macros.mkdir(parents=True)
    (macros / "stub.sql").write_text("{% macro forebay_compiled() %}{% endmacro %}")
    Project(shell.folder).dbt(["build", "--exclude", "config.materialized:feature_view"])
    (macros / "stub.sql").unlink()
    lake = open_lake(Project(shell.folder).lake)
    assert find_table(lake, "main.segments") is None
    assert shell.run("compile") == 0, shell.err
    assert len(rows(shell, "segments")) == 2 and len(rows(shell, "customers_check")) == 1
    with duckdb.connect(shell.folder / "shop.duckdb") as connection:
        connection.execute("insert into main.segments values ('new', 5)")
    Project(shell.folder).dbt(["run", "--select", "by_check"])
    assert len(rows(shell, "segments")) == 3


def test_a_leaf_that_iceberg_cannot_keep_holds_back_what_reads_it(shell: Shell) -> None:
    now = ("--now", day(1).isoformat())
    spent = shell.folder / "models/marts/spent.sql"
    whole = spent.read_text()
    broken = whole.replace("as spent from", "as spent, interval '1' day as wait from")
    spent.write_text(broken)
    refused = "column 'wait' is of type INTERVAL, which Iceberg cannot keep"
    assert refused in shell.refused("build", *now)
    assert "not built, since what they read failed: spent_now" in shell.out
    assert rows(shell, "by_check") == [
        {"segment": "small", "customers": 1, "balance": 10, "weight": 1}
    ]
    assert rows(shell, "orders_7d") == [{"customer_id": 1, "orders_7d": 1, "amount_7d": 5}]
    assert refused in shell.refused("train", "spent_v1", "--spine", "x.csv")
    assert refused in shell.refused("compile")
    spent.write_text(whole)
    assert shell.run("build", *now) == 0, shell.err
    assert rows(shell, "spent_now") == [{"customer_id": 1, "spent": 5}]

    # Copied before, and refused now: what is built of it stays as it is. Another leaf's fault
    # beside it is told too.
    spent.write_text(broken)
    seed(shell, "segment,weight\nsmall,\n")
    set_day(shell.folder, 0, [(1, "small", 10, day(-1))], [(2, 1, 6, day(-1), day(-1))])
    assert shell.run("build", *now) == 2
    wrong = [line for line in shell.err.splitlines() if line.startswith("error: ")]
    assert len(wrong) == 2 and refused in wrong[1] and "not_null_segments_weight" in wrong[0]
    assert "not built, since what they read failed: by_check, spent_now" in shell.out
    assert rows(shell, "spent_now") == [{"customer_id": 1, "spent": 5}]
    assert rows(shell, "orders_7d") == [{"customer_id": 1, "orders_7d": 2, "amount_7d": 11}]
