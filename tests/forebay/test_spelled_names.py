"""Names that the author writes in mixed case keep it, from the query to the answer."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from feature_specs.catalog import load_catalog
from lakehouse.lake import load_table, open_lake
from serving.api import create_app
from tests.forebay.conftest import Shell
from tests.forebay.small import edit, lake_of, make_project, run_here

pytestmark = pytest.mark.slow

# SUM is how the author writes it; DuckDB keeps it, quoted or not.
SPENDING = """\
select
    customer as "Customer",
    max(amount) as "Max",
    sum(amount) as SUM,
    max(amount) + {{ request('Extra', 'bigint') }} as "Raised"
from {{ source('raw', 'payments') }}
group by customer
"""
LAST = """\
select customer as Customer, paid_at as "PaidAt", amount as "Amount" from {{ source('raw', 'payments') }}
"""
VIEWS = """\
models:
  - name: spending
    config:
      materialized: feature_view
      contract: {enforced: true}
      meta: {feature_view: {entities: [Customer]}}
    columns:
      - {name: Customer, data_type: varchar}
      - {name: Max, data_type: bigint, description: The greatest.}
      - {name: SUM, data_type: hugeint}
      - {name: Raised, data_type: bigint}
  - name: last_payment
    config:
      materialized: feature_view
      event_time: PaidAt
      meta: {feature_view: {entities: [CUSTOMER], ttl: 7 days}}
  - name: fraud_set
    config: {materialized: training_set}
exposures:
  - name: fraud
    type: ml
    owner: {name: Risk}
    depends_on: [ref('spending'), ref('last_payment')]
    config: {meta: {feature_service: {features: [spending.max, spending.Raised, "last_payment.*"]}}}
"""
LABELS = "select 'a' as CUSTOMER, timestamptz '2024-01-04 00:00+00' as event_timestamp, 5::bigint as extra"
FEATURES = ["spending__Max", "spending__Raised", "last_payment__Amount"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, built."""
    made = make_project(
        tmp_path_factory.mktemp("spelled") / "shop",
        {
            "models/spending.sql": SPENDING,
            "models/last_payment.sql": LAST,
            "models/views.yml": VIEWS,
            "models/labels.sql": LABELS,
            "models/fraud_set.sql": "{{ point_in_time(spine=ref('labels'), service='fraud') }}",
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        run_here("build")
    return made


@pytest.fixture
def shop(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A shell in the built project."""
    return Shell(root, monkeypatch, capsys)


def test_the_whole_chain(shop: Shell) -> None:
    catalog = load_catalog(shop.folder / "target/forebay/catalog.json")
    spending, last = catalog.views["spending"], catalog.views["last_payment"]
    assert [c.name for c in spending.entities] == ["Customer"]
    assert [(f.name, f.description) for f in spending.features] == [
        ("Max", "The greatest."), ("SUM", ""), ("Raised", ""),
    ]  # fmt: skip
    assert (last.event_time, [f.name for f in last.features]) == ("PaidAt", ["Amount"])
    # The feature table has them in lower case, as before.
    held = load_table(open_lake(lake_of(shop.folder)), spending.table).schema()
    assert {"customer", "max", "sum"} <= {f.name for f in held.fields}
    with duckdb.connect(shop.folder / "target/shop.duckdb", read_only=True) as built:
        seen = built.execute("select * from main.spending order by 1")
        assert [d[0] for d in seen.description] == ["Customer", "Max", "SUM", "Raised"]
        assert seen.fetchall() == [("a", 80, 140, None), ("b", 80, 140, None)]
        made = built.execute("select * from main.fraud_set")
        assert [d[0] for d in made.description] == [
            "CUSTOMER",
            "event_timestamp",
            "extra",
            *FEATURES,
        ]
        assert made.fetchall()[0][3:] == (30, 35, 30)


def test_training_sets_and_previews(shop: Shell) -> None:
    spine = "customer,event_timestamp,EXTRA\na,2024-01-02T12:00:00Z,1\n"
    (shop.folder / "spine.csv").write_text(spine)
    assert shop.run("train", "fraud", "--spine", "spine.csv", "--out", "t.parquet") == 0, shop.err
    made = pq.read_table(shop.folder / "t.parquet").to_pylist()
    assert [[row[name] for name in FEATURES] for row in made] == [[20, 21, 20]]
    said = ("--key", "CUSTOMER=a", "--request", "EXTRA=2", "--at", "2024-01-03T12:00:00Z")
    assert shop.run("preview", "spending", *said, "--json") == 0, shop.err
    assert json.loads(shop.out)["features"] == {"Max": 30, "SUM": 60, "Raised": 32}


def test_online(shop: Shell) -> None:
    assert shop.run("sync") == 0, shop.out
    assert shop.run("verify") == 0, shop.out
    catalog = load_catalog(shop.folder / "target/forebay/catalog.json")
    with TestClient(create_app(catalog)) as client:

        def asked(**body: object) -> dict[str, list[object]]:
            answer = client.post("/get-online-features", json=body)
            assert answer.status_code == 200, answer.text
            made = answer.json()
            names = made["metadata"]["feature_names"]
            return dict(zip(names, [r["values"] for r in made["results"]], strict=True))

        for name in ("spending:max", "spending:MAX", "spending__Max"):
            found = asked(features=[name], entities={"customer": ["b", "x"]})
            assert found == {"customer": ["b", "x"], "Max": [80, None]}
        found = asked(
            feature_service="fraud",
            full_feature_names=True,
            entities={"Customer": ["a"]},
            request_context={"EXTRA": 4},
        )
        assert found == {"Customer": ["a"], **dict(zip(FEATURES, [[80], [84], [80]], strict=True))}
        twice = client.post(
            "/get-online-features",
            json={"features": ["spending:Max"], "entities": {"customer": ["a"], "Customer": ["b"]}},
        )
        assert twice.status_code == 422 and "one name" in twice.text


def test_a_name_in_another_case_recomputes_nothing(shop: Shell) -> None:
    assert shop.run("plan", "--json") == 0
    assert {p["change"] for p in json.loads(shop.out)["views"]} == {"unchanged"}
    edit(shop.folder, "models/last_payment.sql", '"Amount"', "amount")
    assert shop.run("plan", "--json") == 0
    (planned,) = [p for p in json.loads(shop.out)["views"] if p["view"] == "last_payment"]
    assert (planned["change"], planned["recompute"]) == ("changed", "nothing")
    assert planned["columns"] == ["+amount", "-Amount"]
    assert planned["breaks"] == ["fraud.Amount"]
    edit(shop.folder, "models/last_payment.sql", "as amount", 'as "Amount"')
