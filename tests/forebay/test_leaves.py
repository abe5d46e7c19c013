"""Seeds, snapshots and models as leaves: a project lived through for days, held to brute force."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from forebay.dbt_project.project import Project
from lakehouse.dbt_plugin import NOW_VARIABLE
from lakehouse.lake import load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.marts import VIEWS, Customer, day, make_marts, set_day
from tests.forebay.small import run_here
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)
WEIGHTS = {"small": 1, "large": 3}
#: What the customers are on each day. The second changes on days 1 and 2, the first is deleted on
#: day 1 and comes back on day 3, the third comes on day 1 and goes on day 3.
DAYS: list[list[Customer]] = [
    [(1, "small", 10, day(-1)), (2, "large", 20, day(-1))],
    [(2, "small", 20, day(0.75)), (3, "large", 5, day(0.5))],
    [(2, "small", 25, day(1.25)), (3, "large", 5, day(0.5))],
    [(1, "large", 11, day(2.5)), (2, "small", 25, day(1.25))],
]
#: id, customer, amount, when it was placed and when it was loaded; one comes in late.
ORDERS = [
    [(1, 1, 5, day(-1), day(-0.5)), (2, 2, 7, day(-6.5), day(-6))],
    [(3, 2, 11, day(0.5), day(0.9)), (4, 1, 2, day(-5), day(0.8))],
    [],
    [(5, 3, 1, day(2.5), day(2.6))],
]
Answers = dict[Any, tuple[Any, ...]]


def segments_at(view: str, t: datetime) -> Answers:
    """Customers, balance and weight by segment: what the snapshot had seen of the table by t."""
    found: dict[str, list[int]] = defaultdict(list)
    for _, segment, balance, since, until in _versions(view):
        if since <= t and (until is None or t < until):
            found[segment].append(balance)
    return {s: (len(b), sum(b), WEIGHTS[s]) for s, b in found.items()}


def _versions(view: str) -> list[tuple[int, str, int, datetime, datetime | None]]:
    open_now: dict[int, tuple[str, int, datetime]] = {}
    out: list[tuple[int, str, int, datetime, datetime | None]] = []
    for number, customers in enumerate(DAYS):
        known = {c[0]: c for c in customers}
        for i, (segment, balance, since) in list(open_now.items()):
            if i not in known:
                out.append((i, segment, balance, since, day(number)))
                del open_now[i]
        for i, segment, balance, changed in customers:
            since = changed if view == "by_stamp" else day(number)
            if i in open_now and open_now[i][:2] == (segment, balance):
                continue
            if i in open_now:
                out.append((i, *open_now[i], since))
            open_now[i] = (segment, balance, since)
    return out + [(i, *rest, None) for i, rest in open_now.items()]


def orders_at(t: datetime) -> Answers:
    """Orders and their amount of seven days by customer, of those loaded by t."""
    found: dict[int, list[int]] = defaultdict(list)
    for _, customer, amount, placed, loaded in (o for orders in ORDERS for o in orders):
        if t - timedelta(days=7) < placed <= t and loaded <= t:
            found[customer].append(amount)
    return {c: (len(a), sum(a)) for c, a in found.items()}


@dataclass
class Life:
    """The project after four days, and what was seen on the way."""

    root: Path
    tables: list[dict[str, Answers]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def read(self, view: str) -> Answers:
        lake = open_lake(Project(self.root).lake)
        rows = read_arrow(load_table(lake, f"main.{view}")).to_pylist()
        names = {"orders_7d": ("customer_id", "orders_7d", "amount_7d"),
                 "spent_now": ("customer_id", "spent")}  # fmt: skip
        key, *values = names.get(view, ("segment", "customers", "balance", "weight"))
        return {row[key]: tuple(row[v] for v in values) for row in rows}


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Days 0 and 3 by `forebay build`, days 1 and 2 by plain dbt."""
    root = tmp_path_factory.mktemp("marts") / "shop"
    make_marts(root)
    life = Life(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for number, (customers, orders) in enumerate(zip(DAYS, ORDERS, strict=True)):
            set_day(root, number, customers, orders)
            now = (day(number) + HOUR).isoformat()
            if number in (1, 2):
                patch.setenv(NOW_VARIABLE, now)
                Project(root).dbt(["build"])
                patch.delenv(NOW_VARIABLE)
            else:
                run_here("build", "--now", now)
            life.tables.append({v: life.read(v) for v in (*VIEWS, "orders_7d", "spent_now")})
            life.said.append((root / "logs" / "dbt.log").read_text())
    return life


@pytest.fixture
def shell(life: Life, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(life.root, monkeypatch, capsys)


@pytest.mark.parametrize("view", VIEWS)
def test_a_snapshot_reads_as_its_table_stood(life: Life, view: str) -> None:
    for number, tables in enumerate(life.tables):
        assert tables[view] == segments_at(view, day(number) + HOUR), number
    assert life.tables[1][view] == {"small": (1, 20, 1), "large": (1, 5, 3)}


def test_an_incremental_model_counts_by_its_own_times(life: Life) -> None:
    for number, tables in enumerate(life.tables):
        assert tables["orders_7d"] == orders_at(day(number) + HOUR), number


def test_a_table_that_is_rewritten_is_read_as_it_stands(life: Life) -> None:
    spent = [t["spent_now"] for t in life.tables]
    assert spent[0] == {1: (5,), 2: (7,)}
    assert spent[1] == spent[2] == {1: (7,), 2: (18,)}
    assert spent[3] == {1: (7,), 2: (18,), 3: (1,)}


def test_only_what_differs_is_written(life: Life) -> None:
    lake = open_lake(Project(life.root).lake)

    def snapshots(table: str) -> list[str]:
        found = load_table(lake, f"main.{table}").snapshots()
        return [str(s.summary.operation.value) for s in found if s.summary is not None]

    assert snapshots("segments") == ["append"]
    # Rows that came are appended, and the step reads them alone.
    assert snapshots("fct_orders") == ["append"] * 3
    assert "orders_7d: step" in life.said[1].partition("orders_7d: full")[2]


def test_training_sets_over_snapshots_and_incremental_models(shell: Shell, tmp_path: Path) -> None:
    times = [day(n / 4) + timedelta(microseconds=n % 2) for n in range(-6, 14)]
    _write_spine(tmp_path / "segments.parquet", "segment varchar", ["small", "large"], times)
    _write_spine(tmp_path / "orders.parquet", "customer_id integer", [1, 2, 3], times)
    for service in ("segments", "orders"):
        spine, out = tmp_path / f"{service}.parquet", tmp_path / f"{service}_out.parquet"
        words = ["train", f"{service}_v1", "--spine", str(spine), "--out", str(out)]
        assert shell.run(*words) == 0, shell.err
    found = _rows(tmp_path / "segments_out.parquet")
    assert len(found) == 2 * len(times)
    for row in found:
        for view in VIEWS:
            got = tuple(row[f"{view}__{c}"] for c in ("customers", "balance", "weight"))
            assert got == segments_at(view, row["ts"]).get(row["segment"], (None,) * 3), (view, row)
    for row in _rows(tmp_path / "orders_out.parquet"):
        got = (row["orders_7d__orders_7d"], row["orders_7d__amount_7d"])
        assert got == orders_at(row["ts"]).get(row["customer_id"], (None, None)), row


def test_no_training_set_is_made_of_what_is_rewritten(shell: Shell, tmp_path: Path) -> None:
    spine = tmp_path / "spine.parquet"
    _write_spine(spine, "customer_id integer", [1], [day(1)])
    line = shell.refused("train", "spent_v1", "--spine", str(spine), "--out", str(tmp_path / "o"))
    assert "rewritten in place" in line and "spent_now" in line and "snapshot" in line
    assert not (tmp_path / "o").exists()
    # As it stands it can be had.
    assert shell.run("preview", "spent_now", "--key", "customer_id=1") == 0
    assert "7" in shell.out
    at = (day(1)).isoformat()
    line = shell.refused("preview", "spent_now", "--key", "customer_id=1", "--at", at)
    assert "rewritten in place" in line


def test_online_agrees(shell: Shell) -> None:
    assert shell.run("sync") == 0, shell.err
    assert shell.run("verify") == 0, shell.out + shell.err


def test_explain_prints_what_is_taken_on_the_authors_word(shell: Shell) -> None:
    assert shell.run("explain", "orders_7d") == 0
    assert "taken on the author's word" in shell.out and "fct_orders" in shell.out
    assert "time_safe" in shell.out
    assert shell.run("explain", "by_stamp") == 0
    assert '"segments" is static' in shell.out
    assert shell.run("explain", "spent_now") == 0
    assert "read as it stands" in shell.out and "-- as things stand" in shell.out


def _write_spine(path: Path, key: str, keys: list[Any], times: list[datetime]) -> None:
    connection = duckdb.connect()
    connection.execute(f"create table spine ({key}, ts timestamptz)")
    for t in times:
        connection.executemany("insert into spine values (?, ?)", [[k, t] for k in keys])
    connection.execute(f"copy spine to '{path}' (format parquet)")


def _rows(path: Path) -> list[dict[str, Any]]:
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    rows: list[dict[str, Any]] = connection.sql(f"from '{path}'").to_arrow_table().to_pylist()
    return rows
