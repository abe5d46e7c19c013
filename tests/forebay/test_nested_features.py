"""Lists, arrays of a fixed size, structs and maps: built, stepped, trained on, served; as the oracle has them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

import forebay
from feature_specs.catalog import Catalog, load_catalog
from feature_specs.errors import DataError
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from forebay.__main__ import main
from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake
from lakehouse.scan import define_relation, pin
from serving.api import create_app
from tests.feature_specs.oracle import Oracle, Row, same
from tests.forebay.small import edit, lake_of, write_files
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
TTL = 6 * DAY
FIRST, SECOND = START + 9 * DAY, START + 11 * DAY
NAN = float("nan")

VISITS = Leaf(
    "visits",
    {
        "customer": "VARCHAR", "came": "TIMESTAMP WITH TIME ZONE", "visit": "INTEGER",
        "item": "VARCHAR", "price": "DOUBLE", "looks": "FLOAT[]", "tags": "VARCHAR[]",
        "place": "STRUCT(city VARCHAR, codes INTEGER[])", "likes": "MAP(VARCHAR, DOUBLE)",
    },
    event_time="came",
)  # fmt: skip
ARROW = pa.schema(
    {
        "customer": pa.string(),
        "came": pa.timestamp("us", "UTC"),
        "visit": pa.int32(),
        "item": pa.string(),
        "price": pa.float64(),
        "looks": pa.list_(pa.float32()),
        "tags": pa.list_(pa.string()),
        "place": pa.struct({"city": pa.string(), "codes": pa.list_(pa.int32())}),
        "likes": pa.map_(pa.string(), pa.float64()),
    }
)
LATELY = """\
with ranked as (
    select customer, came, visit, item, price from {{ source('raw', 'visits') }}
    where came > current_timestamp - interval '5' day
    qualify row_number() over (partition by customer order by came desc, visit desc) <= 3
)
select
    customer,
    list(item order by came desc, visit desc) as items,
    list(price order by came desc, visit desc) filter (where price > 100) as dear,
    {'n': count(*), 'most': max(price), 'all': list(price order by came, visit)} as stats,
    cast(histogram(item) as map(varchar, bigint)) as counts,
    list({'item': item, 'price': price} order by came desc, visit desc) as last_3,
    array_value(cast(count(*) as float), cast(max(price) as float)) as pair
from ranked group by customer
"""
LAST = """\
select customer, came, visit, cast(looks as float[4]) as looks, tags, place, likes,
    [place, place] as places, {'at': array_value(price, 1), 'tags': tags} as both
from {{ source('raw', 'visits') }}
"""
MODELS = """\
models:
  - name: lately
    config: {materialized: feature_view, meta: {feature_view: {entities: [customer]}}}
  - name: last_visit
    config:
      materialized: feature_view
      event_time: came
      meta: {feature_view: {entities: [customer], tie_break: [visit], ttl: 6 days}}
exposures:
  - name: looks_v1
    type: ml
    owner: {name: Looks}
    depends_on: [ref('lately'), ref('last_visit')]
    config: {meta: {feature_service: {features: [lately.*, last_visit.*]}}}
"""
SOURCES = """\
sources:
  - name: raw
    schema: raw
    tables:
      - name: visits
        config: {event_time: came}
"""
TYPES = {
    "lately": {
        "items": "VARCHAR[]",
        "dear": "DOUBLE[]",
        "stats": 'STRUCT(n BIGINT, most DOUBLE, "all" DOUBLE[])',
        "counts": "MAP(VARCHAR, BIGINT)",
        "last_3": "STRUCT(item VARCHAR, price DOUBLE)[]",
        "pair": "FLOAT[2]",
    },
    "last_visit": {
        "looks": "FLOAT[4]",
        "tags": "VARCHAR[]",
        "place": "STRUCT(city VARCHAR, codes INTEGER[])",
        "likes": "MAP(VARCHAR, DOUBLE)",
        "places": "STRUCT(city VARCHAR, codes INTEGER[])[]",
        "both": 'STRUCT("at" DOUBLE[2], tags VARCHAR[])',
    },
}
MAPS = ("counts", "likes")


def plain(sql: str) -> str:
    return sql.replace("{{ source('raw', 'visits') }}", "visits")


def visit(customer: str | None, day: float, number: int, *values: Any) -> Row:
    return (customer, START + day * DAY, number, *values)


HERE = {"city": "Zürich", "codes": [1, None]}
EARLY = [
    visit("a", 6, 1, "x", 1.5, [0.1, 2.0, 3.0, 4.0], ["p", None], HERE, {"l": 1.0, "m": None}),
    visit("a", 7, 2, "y", NAN, [NAN, 0.0, -1.0, 1e30], [], {"city": None, "codes": None}, {}),
    visit("a", 8, 3, None, 300.0, None, None, None, None),
    visit("b", 8, 4, "x", 2.0, [0.0, 0.0, 0.0, None], ["q\"\n"], {"city": "", "codes": []}, {"": NAN}),
    visit("b", 8, 5, "x", float("inf"), [0.5] * 4, ["q", "r"], HERE, {"z": float("-inf")}),
    visit("d", 1, 6, "x", 4.0, [1.0] * 4, ["old"], HERE, {"z": 1.0}),
    visit("e", 8.5, 7, "x", 4.0, [2.0] * 4, ["calm"], HERE, {"z": 1.0}),
    visit(None, 8, 8, "x", 4.0, [1.0] * 4, ["nobody"], HERE, {"z": 1.0}),
]  # fmt: skip
LATE = [
    visit("b", 10, 9, None, None, [9.0, NAN, 0.0, 1.0], [None], {"city": "V", "codes": [None]}, {}),
    visit("c", 10.5, 10, "z", 7.25, [1.0, 2.0, 3.0, 0.25], [], None, {"k": 2.5}),
    visit("a", 8.5, 11, "w", 1.0, None, None, HERE, None),  # late: between two that are known
]


class Shop:
    """The project after both builds, and the oracle of each view over the same rows."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.oracles: dict[str, Oracle] = {}
        last = FeatureView(
            "last_visit", plain(LAST), ["customer"], event_time="came", tie_break=["visit"], ttl=TTL
        )
        for view in (FeatureView("lately", plain(LATELY), ["customer"]), last):
            self.oracles[view.name] = Oracle(view, [VISITS], view.sql)

    @property
    def catalog(self) -> Catalog:
        return load_catalog(self.root / "target/forebay/catalog.json")

    def append(self, rows: Sequence[Row]) -> None:
        """Commit rows to the source, and add them to what the oracles read."""
        columns = zip(*rows, strict=True)
        arrays = [pa.array(list(c), kind) for c, kind in zip(columns, ARROW.types, strict=True)]
        table = pa.Table.from_arrays(arrays, schema=ARROW)
        commit_rows(open_lake(lake_of(self.root)), "raw.visits", table, mode="append")
        for oracle in self.oracles.values():
            oracle.connection.register("given", table)
            columns_of = ", ".join(f"{name} {kind}" for name, kind in VISITS.columns.items())
            oracle.connection.execute(f"create table if not exists raw_visits ({columns_of})")
            oracle.connection.execute("insert into raw_visits select * from given")

    def expected(self, view: str, at: datetime) -> dict[str, dict[str, Any]]:
        """By customer what the oracle has at an instant, without the tie-break."""
        found = self.oracles[view].at(at)
        return {k: {n: v for n, v in row.items() if n != "visit"} for (k,), row in found.items()}

    def check_tables(self, at: datetime) -> None:
        """The feature tables in Iceberg, read as of ``at``, are the oracle's."""
        lake = open_lake(lake_of(self.root))
        for name in TYPES:
            entry = self.catalog.views[name]
            with duckdb.connect() as connection:
                connection.execute("set timezone = 'UTC'")
                define_relation(connection, "stored", pin(load_table(lake, entry.table)))
                result = connection.execute("select * from stored")
                names = [d[0] for d in result.description or []]
                rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
            oracle = self.oracles[name]
            expected = {k: v for (k,), v in Oracle.at(oracle, at).items()}
            assert {row["customer"] for row in rows} == set(expected)
            for row in rows:
                wanted = expected[row["customer"]]
                if name == "last_visit" and at - row["came"] > TTL:
                    continue  # the table keeps what is expired when it is read
                for feature in TYPES[name]:
                    assert alike(row[feature], wanted[feature]), (name, row, wanted)


def alike(actual: Any, expected: Any) -> bool:
    return same(actual, expected, 1e-300)


def run(*words: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    assert stop.value.code == 0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    root = tmp_path_factory.mktemp("nested")
    texts = {
        "models/sources.yml": SOURCES,
        "models/views.yml": MODELS,
        "models/lately.sql": LATELY,
        "models/last_visit.sql": LAST,
    }
    write_files(root, texts)
    for name in ("stg_payments", "spending", "last_payment"):
        (root / "models" / f"{name}.sql").unlink()
    made = Shop(root)
    made.append(EARLY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run("build")
        made.check_tables(FIRST)
        made.append(LATE)
        edit(root, "dbt_project.yml", "2024-01-10", "2024-01-12")
        run("build")
        run("sync")
        yield made


def test_a_step_gives_what_the_oracle_has_and_leaves_the_rest(shop: Shop) -> None:
    shop.check_tables(SECOND)
    lake = open_lake(lake_of(shop.root))
    for name in TYPES:
        log = read_arrow(load_table(lake, shop.catalog.views[name].history_table))
        written = log["customer"].to_pylist()
        assert written.count("e") == 1 and written.count("b") == 2


def test_the_catalogue_has_the_types(shop: Shop) -> None:
    for name, types in TYPES.items():
        features = {f.name: f.type for f in shop.catalog.views[name].features if f.name != "visit"}
        assert features == types


INSTANTS = [START + n * DAY for n in (0, 6, 6.5, 7, 8, 8.25, 8.5, 10, 10.5, 11, 12.5, 14, 14.6, 20)]
CUSTOMERS = ["a", "b", "c", "d", "e", "nobody", None]


@pytest.fixture(scope="module")
def spine() -> pa.Table:
    pairs = [(customer, at) for customer in CUSTOMERS for at in INSTANTS]
    customers, instants = zip(*pairs, strict=True)
    return pa.table(
        {
            "customer": pa.array(customers, pa.string()),
            "event_timestamp": pa.array(instants, pa.timestamp("us", "UTC")),
        }
    )


def test_training_sets_have_the_oracle_s_values(shop: Shop, spine: pa.Table) -> None:
    answers = {(v, at): shop.expected(v, at) for v in TYPES for at in INSTANTS}
    with forebay.open(shop.root) as project:
        made = project.training_set("looks_v1", spine)
        table = made.to_arrow()
        seen = 0
        for row in table.to_pylist(maps_as_pydicts="strict"):
            for view, types in TYPES.items():
                wanted = answers[view, row["event_timestamp"]].get(row["customer"], {})
                for feature in types:
                    actual, expected = row[f"{view}__{feature}"], wanted.get(feature)
                    assert alike(actual, expected), (view, feature, row)
                    seen += expected is not None
        assert seen > 150
        path = made.write(shop.root / "looks.parquet")
        assert str(pq.read_table(path).to_pylist()) == str(table.to_pylist())
        assert {d.name: d.nulls for d in made.describe()} == {
            name: table[name].null_count for name in table.column_names
        }
        frames = made.to_pandas(), made.to_polars()
        assert [len(frame) for frame in frames] == [table.num_rows] * 2
        looks = made.to_numpy(["last_visit__looks"])
        wanted_looks = [
            answers["last_visit", row["event_timestamp"]].get(row["customer"], {}).get("looks")
            for row in spine.to_pylist()
        ]
        assert looks.shape == (len(spine), 4)
        expected_looks = np.array([as_doubles(v, 4) for v in wanted_looks], dtype=np.float64)
        np.testing.assert_array_equal(looks, expected_looks)
        both = made.to_numpy(["lately__pair", "last_visit__looks"])
        np.testing.assert_array_equal(both[:, 2:], expected_looks)
        assert both.shape == (len(spine), 6)
        with pytest.raises(DataError, match=r"lately__dear.*may differ in length"):
            made.to_numpy(["lately__dear"])
        with pytest.raises(DataError, match=r"lately__stats.*not a number"):
            made.to_numpy(["lately__stats"])


def as_doubles(values: Sequence[float | None] | None, size: int) -> list[float]:
    return [NAN] * size if values is None else [NAN if v is None else float(v) for v in values]


@pytest.fixture(scope="module")
def client(shop: Shop) -> Iterator[TestClient]:
    with TestClient(create_app(shop.catalog, clock=lambda: SECOND)) as made:
        yield made


NAMES = [f"{view}__{feature}" for view, types in TYPES.items() for feature in types]
KEYS = ["a", "b", "c", "d", "e", "nobody"]


def answers(shop: Shop) -> list[list[Any]]:
    """What the oracle has of each key, in the order of the service."""
    found = {view: shop.expected(view, SECOND) for view in TYPES}
    return [
        [
            found[view].get(key, {}).get(feature)
            for view, types in TYPES.items()
            for feature in types
        ]
        for key in KEYS
    ]


def as_sent(name: str, value: Any) -> Any:
    """A value as JSON and MessagePack have it: maps as pairs."""
    of_map = name.partition("__")[2] in MAPS
    return [[k, v] for k, v in value.items()] if of_map and value is not None else value


def as_json(value: Any) -> Any:
    """The same with text for what JSON has no numbers for."""
    if isinstance(value, dict):
        return {k: as_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(v) for v in value]
    if isinstance(value, float) and value - value != 0:
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value


def ask(client: TestClient, accept: str) -> bytes:
    response = client.post(
        "/v1/services/looks_v1/vectors",
        json={"entities": {"customer": KEYS}},
        headers={"accept": accept},
    )
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == accept
    return response.content


def test_json(shop: Shop, client: TestClient) -> None:
    answer = json.loads(ask(client, "application/json"))
    assert answer["features"] == NAMES
    assert answer["types"] == [kind for types in TYPES.values() for kind in types.values()]
    for given, expected in zip(answer["vectors"], answers(shop), strict=True):
        for name, actual, wanted in zip(NAMES, given, expected, strict=True):
            assert actual == as_json(as_sent(name, wanted)), name


def test_messagepack_has_lists_of_floats_and_no_text(shop: Shop, client: TestClient) -> None:
    answer = msgpack.unpackb(ask(client, "application/msgpack"))
    for given, expected in zip(answer["vectors"], answers(shop), strict=True):
        for name, actual, wanted in zip(NAMES, given, expected, strict=True):
            assert alike(actual, as_sent(name, wanted)), (name, actual, wanted)


def test_arrow_has_typed_lists(shop: Shop, client: TestClient) -> None:
    body = ask(client, "application/vnd.apache.arrow.stream")
    table = pa.ipc.open_stream(body).read_all()
    assert table.schema.field("last_visit__looks").type == pa.list_(pa.float32(), 4)
    assert table.schema.field("lately__counts").type == pa.map_(pa.string(), pa.int64())
    for given, expected in zip(
        table.to_pylist(maps_as_pydicts="strict"), answers(shop), strict=True
    ):
        for name, wanted in zip(NAMES, expected, strict=True):
            assert alike(given[name], wanted), name


def test_what_is_served_is_verified(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop.root)
    run("verify")


def test_the_client_without_a_server(shop: Shop) -> None:
    edited = shop.catalog.now
    assert edited is not None and edited.startswith("2024-01-12")
    with forebay.open(shop.root) as project:
        vectors = project.vectors("looks_v1", {"customer": KEYS})
        for given, expected in zip(vectors.to_dicts(), answers(shop), strict=True):
            for name, wanted in zip(NAMES, expected, strict=True):
                assert alike(given[name], wanted), name
        assert vectors.to_arrow().schema.field("lately__pair").type == pa.list_(pa.float32(), 2)
        assert len(vectors.to_pandas()) == len(vectors.to_polars()) == len(KEYS)
