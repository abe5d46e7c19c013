"""A training set says what it was made of, and `train` what differs from the last one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from forebay.training.changes import TrainingChanges, compare
from lakehouse.lake import load_table, open_lake
from tests.forebay.conftest import Shell

SERVICE = "dispute_risk_v1"


def record(**changes: Any) -> dict[str, Any]:
    views = {"a": {"semantic_hash": "1"}, "b": {"semantic_hash": "1"}}
    leaf = {"table": "raw.t", "uuid": "u", "snapshot": 1, "schema": 0}
    features = [feature("a", "x"), feature("b", "y")]
    made: dict[str, Any] = {"made_at": "then", "service": "s", "views": views, "features": features}
    made |= {"leaves": {"t": leaf}, "lag_us": 0, "timestamp": "ts", "timezone": None}
    return made | {"spine": {"path": "l.csv", "rows": 3}, "forebay": "1", "compiler": 4} | changes


def feature(view: str, name: str, kind: str = "BIGINT") -> dict[str, str]:
    return {"name": f"{view}__{name}", "view": view, "feature": name, "type": kind}


def test_nothing_changed() -> None:
    same = compare(record(), record())
    assert same == TrainingChanges("then") and same.lines() == []


def test_features_come_go_and_change() -> None:
    now = record(
        features=[feature("a", "x", "DOUBLE"), feature("b", "z")],
        views={"a": {"semantic_hash": "2"}, "b": {"semantic_hash": "1"}},
    )
    found = compare(record(), now)
    assert (found.added, found.removed, found.redefined) == (("b__z",), ("b__y",), ("a__x",))
    assert found.retyped == {"a__x": ("BIGINT", "DOUBLE")}
    assert found.lines() == [
        "features added: b__z",
        "features removed: b__y",
        "types changed: a__x BIGINT -> DOUBLE",
        "features redefined: a__x",
    ]


@pytest.mark.parametrize("key", ["uuid", "snapshot", "schema"])
def test_data_that_moved(key: str) -> None:
    leaf = {"uuid": "u", "snapshot": 1, "schema": 0}
    found = compare(record(), record(leaves={"t": {"table": "raw.t", **leaf, key: 9}}))
    assert found.moved == {"raw.t": (leaf, {**leaf, key: 9})}
    assert found.lines() == ["data changed: raw.t"]


def test_settings_that_changed() -> None:
    spine = {"path": "m.csv", "rows": 4}
    found = compare(record(), record(lag_us=900_000_000, spine=spine, compiler=5))
    assert found.settings == {
        "lag_us": (0, 900_000_000),
        "spine": ({"path": "l.csv", "rows": 3}, spine),
        "compiler": (4, 5),
    }
    assert found.lines() == [
        "spine changed: l.csv (3 rows) -> m.csv (4 rows)",
        "settings changed: compiler 4 -> 5, lag 0:00:00 -> 0:15:00",
    ]


def footer(path: Path) -> dict[str, Any]:
    metadata = pq.read_metadata(path).metadata
    made: dict[str, Any] = json.loads(metadata[b"forebay"])
    return made


def train(shell: Shell, *words: str) -> dict[str, Any]:
    code = shell.run("train", SERVICE, "--spine", "data/labels.csv", "--json", *words)
    assert code == 0, shell.err
    made: dict[str, Any] = json.loads(shell.out)
    return made


@pytest.mark.slow
def test_the_record_of_a_file_and_what_differs_from_the_last(shop_shell: Shell) -> None:
    shell, root = shop_shell, shop_shell.folder
    first = root / "target" / f"{SERVICE}.parquet"
    made = train(shell)
    assert made["changes"] is None
    before = footer(first)
    payments = load_table(open_lake(catalog_lake(root)), "shop.payments")
    snapshot = payments.current_snapshot()
    assert snapshot is not None
    assert before["leaves"]['"dev"."shop"."payments"'] == {
        "table": "shop.payments",
        "uuid": str(payments.metadata.table_uuid),
        "snapshot": snapshot.snapshot_id,
        "schema": payments.schema().schema_id,
    }
    assert before["spine"]["rows"] == 451 and len(before["spine"]["sha256"]) == 64
    catalog = json.loads((root / "target/forebay/catalog.json").read_text())
    for name in ("card_activity", "last_payment", "customer_profile"):
        assert before["views"][name]["semantic_hash"] == catalog["views"][name]["semantic_hash"]
    columns = duckdb.connect().execute(f"describe from '{first}'").fetchall()
    types = {name: kind for name, kind, *_ in columns}
    assert [f["type"] for f in before["features"]] == [types[f["name"]] for f in before["features"]]

    # Elsewhere, later: compared with the record that was kept.
    assert train(shell, "--out", "other.parquet", "--lag", "1 hour")["changes"]["settings"] == {
        "lag_us": [0, 3_600_000_000]
    }
    # A dry run compares and keeps nothing; the file at --out counts before the record kept.
    assert train(shell, "--dry-run")["changes"]["settings"] == {}

    (root / "more.csv").write_text(
        "".join((root / "data/payments.csv").read_text().splitlines(keepends=True)[:2])
    )
    assert shell.run("ingest", "shop.payments", "more.csv") == 0
    path = root / "models/features/card_activity.sql"
    path.write_text(path.read_text().replace("30' day", "45' day"))
    services = root / "models/services.yml"
    services.write_text(
        services.read_text().replace("            - last_payment.last_country\n", "")
    )
    assert shell.run("compile") == 0
    changes = train(shell)["changes"]
    assert changes["removed"] == ["last_payment__last_country"] and changes["added"] == []
    assert list(changes["moved"]) == ["shop.payments"]
    assert changes["redefined"] and all(
        n.startswith("card_activity__") for n in changes["redefined"]
    )
    assert shell.run("train", SERVICE, "--spine", "data/labels.csv") == 0
    assert "nothing changed but the time" in shell.out


def catalog_lake(root: Path) -> dict[str, str]:
    lake: dict[str, str] = json.loads((root / "target/forebay/catalog.json").read_text())["lake"]
    return lake


@pytest.mark.slow
def test_a_zone_that_there_is_not(shop_shell: Shell) -> None:
    line = shop_shell.refused(
        "train", SERVICE, "--spine", "data/labels.csv", "--timezone", "Nowhere/Land"
    )
    assert "there is no time zone 'Nowhere/Land'" in line and "--timezone" in line


@pytest.mark.slow
def test_the_record_of_a_training_set_model(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "flights.parquet"
    assert shell.run("train", "arrival_delay_v1", "--out", str(out)) == 0
    made = footer(out)
    assert made["service"] == "arrival_delay_v1" and made["timestamp"] == "scheduled_at"
    assert made["spine"] == {"relation": '"flights"."main"."scheduled_flights"'}
    assert made["lag_us"] == 0 and "others" not in made
    assert len(made["views"]) == 6 and all(v["snapshot"] for v in made["views"].values())
    assert {leaf["table"] for leaf in made["leaves"].values()} >= {"nyc.flights", "nyc.weather"}
    catalog = json.loads((shell.folder / "target/forebay/catalog.json").read_text())
    for name, view in made["views"].items():
        assert view["semantic_hash"] == catalog["views"][name]["semantic_hash"]
    table = load_table(open_lake(catalog["lake"]), "main.arrival_delay_v1")
    snapshot = table.current_snapshot()
    assert snapshot is not None and made["model"]["snapshot"] == snapshot.snapshot_id
