"""What is online after every batch is F(D, T) for its own D and T, by brute force.

Events come late, out of order, twice and ahead of time; several writers add to the tables; they are
rewritten, and the store is written by others.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.types import StringType

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.instants import from_epoch_us
from forebay.compilation.compile_project import compile_project
from forebay.dbt_project.project import Project
from forebay.streaming.attach_views import views_over
from forebay.streaming.complaints import Complaints
from forebay.streaming.stream_views import StreamViews
from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake
from lakehouse.relations import tune
from serving.state import load_state
from serving.stores import StoredView, open_store
from serving.sync import sync
from serving.sync.row_sql import RowSql
from tests.forebay.small import FILES, lake_of, make_project

pytestmark = pytest.mark.slow

START = datetime(2024, 1, 10, tzinfo=UTC)

#: Of each view the author's query, over a relation ``{leaf}`` and a clock ``{now}``.
QUERIES = {
    "spending": "select customer, count(*) as n, sum(amount) as spent, max(amount) as most "
    "from {leaf} where paid_at > {now} - interval '2' day group by customer",
    "shops": "select customer, count(distinct shop) as shops, "
    "sum(amount) filter (where paid_at > {now} - interval '6' hour) as lately "
    "from {leaf} where paid_at > {now} - interval '1' day group by customer having count(*) > 1",
    "by_shop": "select shop, count(*) as n, min(paid_at) as since from {leaf} group by shop",
    "tiered": "select o.customer, sum(o.amount * t.weight) as weighted from {leaf} as o "
    "join {tiers} as t on o.shop = t.shop group by o.customer",
    "last_payment": "select customer, paid_at, amount, shop from {leaf}",
}
_KEYS = dict.fromkeys(QUERIES, "customer") | {"by_shop": "shop"}
_LEAF, _TIERS = "{{ source('raw', 'orders') }}", "{{ source('raw', 'tiers') }}"
_SOURCES = """\
sources:
  - name: raw
    schema: raw
    tables:
      - name: orders
        config: {event_time: paid_at, loaded_at_field: landed_at}
      - name: tiers
        config: {meta: {time: static}}
"""
_YAML = "models:\n" + "".join(
    f"  - name: {name}\n    config:\n      materialized: feature_view\n"
    + ("      event_time: paid_at\n" if name == "last_payment" else "")
    + f"      meta: {{feature_view: {{entities: [{_KEYS[name]}]"
    + (", tie_break: [order_id]" if name == "last_payment" else "")
    + "}}\n"
    for name in QUERIES
)
SCHEMA = pa.schema(
    {
        "order_id": pa.int64(),
        "customer": pa.string(),
        "shop": pa.string(),
        "amount": pa.int64(),
        "paid_at": pa.timestamp("us", tz="UTC"),
        "landed_at": pa.timestamp("us", tz="UTC"),
    }
)


class Live:
    """A project whose views are stepped by hand, and the brute force over its table."""

    def __init__(self, root: Path, seed: int) -> None:
        self.draw, self.root, self.now, self.number = random.Random(seed), root, START, 0
        queries = {
            f"models/{name}.sql": query.replace("{leaf}", _LEAF)
            .replace("{tiers}", _TIERS)
            .replace("{now}", "current_timestamp")
            for name, query in QUERIES.items()
        }
        queries["models/last_payment.sql"] = queries["models/last_payment.sql"].replace(
            "shop from", "shop, order_id from"
        )
        changed = {"models/sources.yml": _SOURCES, "models/views.yml": _YAML, **queries}
        make_project(root, {**changed, "models/stg_payments.sql": f"select * from {_LEAF}\n"})
        assert set(FILES) <= {*changed, "profiles/profiles.yml", "dbt_project.yml"} | {
            "models/stg_payments.sql"
        }
        self.lake = open_lake(lake_of(root))
        self.add(40)
        self.add_tier("x", 2)
        project = Project(root)
        compile_project(project)
        self.catalog: Catalog = project.catalog()
        self.complaints: list[str] = []
        over = views_over(self.catalog, ["raw.orders"])
        assert len(over) == len(QUERIES)
        self.views = StreamViews(
            project, self.catalog, over, lambda: self.now, 1e9, Complaints(self.complaints.append)
        )

    def add(self, count: int) -> None:
        """Commit events: late, early, and some of them a second time."""
        rows = []
        for _ in range(count):
            self.number += 1
            late = timedelta(hours=self.draw.choice([0, 0, 0, 1, 5, 30, 80]))
            paid = self.now - late + timedelta(seconds=self.draw.choice([0, 0, -7, 90]))
            landed = paid + timedelta(minutes=self.draw.choice([0, 0, 3, 200]))
            who = self.draw.choice([*"abcdefg", None])
            row = (self.number, who, self.draw.choice("xyz"), self.draw.randint(1, 99), paid)
            rows += [(*row, landed)] * self.draw.choice([1, 1, 1, 2])
        columns = zip(*rows, strict=True)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
        commit_rows(self.lake, "raw.orders", pa.table(arrays, SCHEMA), mode="append")

    def add_tier(self, shop: str, weight: int) -> None:
        rows = pa.table({"shop": [shop], "weight": pa.array([weight], pa.int64())})
        commit_rows(self.lake, "raw.tiers", rows, mode="append")

    def check(self) -> None:
        """Compare all that is online with F of the (D, T) that the store names."""
        store = open_store(self.catalog.online, readonly=True)
        try:
            for view in self.catalog.views.values():
                state = load_state(store.get_state(StoredView.of(view)))
                assert state is not None and state.leaves is not None
                wanted = self.brute(view, state.leaves, from_epoch_us(state.at))
                online = dict(store.items(StoredView.of(view)))
                assert online == wanted, (view.name, state)
                assert state.rows == len(online)
        finally:
            store.close()

    def brute(
        self,
        view: ViewEntry,
        leaves: Mapping[str, int | None],
        at: datetime,
        gone: pa.Table | None = None,
    ) -> dict[bytes, bytes]:
        """F(D, T) as stored rows by key: the author's query over tables that are cut at T.

        Args:
            gone: orders that were there once and count as well.
        """
        read = {
            self.catalog.leaves[leaf].table: load_table(self.lake, self.catalog.leaves[leaf].table)
            .scan(snapshot_id=snapshot)
            .to_arrow()
            for leaf, snapshot in leaves.items()
        }
        if gone is not None:
            read["raw.orders"] = pa.concat_tables([read["raw.orders"], gone])
        sql, clock = RowSql(view), f"timestamptz '{at.isoformat()}'"
        leaf = f"(select * from rows where paid_at <= {clock} and landed_at <= {clock})"
        with duckdb.connect() as connection:
            tune(connection)
            for table, rows in read.items():
                connection.register({"raw.orders": "rows", "raw.tiers": "tiers"}[table], rows)
            query = QUERIES[view.name].format(leaf=leaf, now=clock, tiers="tiers")
            if view.name == "last_payment":
                query = (
                    f"select * from {leaf} qualify row_number() over (partition by customer "
                    "order by paid_at desc, order_id desc) = 1"
                )
            select = f"select {sql.key}, {sql.row} from ({query}) where {sql.whole}"
            return dict(connection.execute(select).fetchall())

    def follow(self) -> None:
        self.views.follow({}, True)
        assert not self.complaints


@pytest.fixture(params=range(2))
def live(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Live]:
    made = Live(tmp_path, request.param)
    yield made
    made.views.close()


def test_online_is_what_the_law_gives_after_every_batch(live: Live) -> None:
    live.follow()
    live.check()
    for round_ in range(12):
        if round_ == 6:
            live.add_tier("y", 3)
        live.now += live.draw.choice(
            [timedelta(seconds=1), timedelta(minutes=7), timedelta(hours=9), timedelta(days=3)]
        )
        for _ in range(live.draw.choice([0, 1, 2])):
            live.add(live.draw.choice([1, 5, 20]))
        live.follow()
        live.check()


def test_rewritten_rows_and_other_writers_of_the_store_start_it_over(live: Live) -> None:
    live.follow()
    rows = load_table(live.lake, "raw.orders").scan().to_arrow().slice(3)
    commit_rows(live.lake, "raw.orders", rows, mode="replace")
    live.now += timedelta(minutes=1)
    live.follow()
    live.check()
    assert live.views._save(live.now) == []  # nothing is built, so nothing is brought forward
    store = open_store(live.catalog.online)
    for view in live.catalog.views.values():
        store.drop(StoredView.of(view))
    store.close()
    live.now += timedelta(minutes=1)
    live.follow()
    live.check()


def test_a_column_more_starts_it_over(live: Live) -> None:
    live.follow()
    with load_table(live.lake, "raw.orders").update_schema() as change:
        change.add_column("note", StringType())
    live.add(5)
    live.now += timedelta(minutes=1)
    live.follow()
    live.check()


def test_a_process_that_no_longer_leads_writes_nothing(live: Live) -> None:
    live.follow()
    live.now += timedelta(minutes=1)
    live.views.follow({}, False)
    live.now += timedelta(minutes=1)
    live.add(3)
    live.follow()
    live.check()
    assert {r.action for r in sync(live.catalog)} == {"failed"}  # no table is built
