"""A project with a feature of every type and read-time features, served, and Feast's client of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from feature_specs.catalog import Column, Feature
from serving.sync import sync
from tests.feast.client import FeastClient, feast_client
from tests.feast.server import serving
from tests.serving.project import TZ, Project, hours, instant, make_view

MORNING = instant("07-01T08:00")
#: Feature: DuckDB's type, Arrow's type, the value of entity "a", and what Feast's client shows of it.
#: Entity "b" has null for each.
TYPES: dict[str, tuple[str, pa.DataType, object, object]] = {
    "flag": ("BOOLEAN", pa.bool_(), True, True),
    "small": ("INTEGER", pa.int32(), -5, -5),
    "big": ("BIGINT", pa.int64(), 2**62 + 1, 2**62 + 1),
    "single": ("FLOAT", pa.float32(), 0.5, 0.5),
    "double": ("DOUBLE", pa.float64(), 0.1, 0.1),
    "whole": ("DOUBLE", pa.float64(), 3.0, 3.0),
    "not_a_number": ("DOUBLE", pa.float64(), float("nan"), "NaN"),
    "price": ("DECIMAL(9,2)", pa.decimal128(9, 2), Decimal("12.50"), 12.5),
    "total": ("DECIMAL(38,0)", pa.decimal128(38, 0), Decimal(2**60), 2**60),
    "text": ("VARCHAR", pa.string(), 'é"\\\n', 'é"\\\n'),
    "empty": ("VARCHAR", pa.string(), "", ""),
    "blob": ("BLOB", pa.binary(), b"\0\xff", "AP8="),
    "uuid": (
        "UUID",
        pa.string(),
        "0b9f2a44-8a6c-4f0e-9f7e-6f1f6a2d7c11",
        "0b9f2a44-8a6c-4f0e-9f7e-6f1f6a2d7c11",
    ),
    "day": ("DATE", pa.date32(), date(2013, 7, 1), "2013-07-01"),
    "at": (
        TZ,
        pa.timestamp("us", "UTC"),
        datetime(2013, 7, 1, 6, 0, 0, 1, UTC),
        "2013-07-01T06:00:00.000001Z",
    ),
    "ints": ("BIGINT[]", pa.list_(pa.int64()), [1, 2], [1, 2]),
    "texts": ("VARCHAR[]", pa.list_(pa.string()), ["x", ""], ["x", ""]),
    "doubles": ("DOUBLE[]", pa.list_(pa.float64()), [0.5, 2.0], [0.5, 2.0]),
    "prices": (
        "DECIMAL(9,2)[]",
        pa.list_(pa.decimal128(9, 2)),
        [Decimal("1.50"), Decimal("2.25")],
        [1.5, 2.25],
    ),
    "point": (
        "STRUCT(x DOUBLE, label VARCHAR)",
        pa.struct([("x", pa.float64()), ("label", pa.string())]),
        {"x": 1.5, "label": "here"},
        {"x": 1.5, "label": "here"},
    ),
    "counts": (
        "MAP(VARCHAR, BIGINT)",
        pa.map_(pa.string(), pa.int64()),
        [("a", 1), ("b c", 2)],
        {"a": 1, "b c": 2},
    ),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Synced at 08:00; the catalog's now is 12:00."""
    made = Project(tmp_path_factory.mktemp("served"))
    types = make_view(
        "types",
        entities=(Column("code", "VARCHAR"),),
        stored=tuple(Column(name, kind[0]) for name, kind in TYPES.items()),
        features=tuple(Feature(name, kind[0]) for name, kind in TYPES.items()),
    )
    rides = make_view(
        "rides",
        entities=(Column("driver_id", "BIGINT"),),
        stored=(Column("n", "BIGINT"), Column("score", "DOUBLE"), Column("tags", "VARCHAR[]")),
        features=(
            Feature("n", "BIGINT"),
            Feature("score", "DOUBLE"),
            Feature("tags", "VARCHAR[]"),
            Feature("total", "DOUBLE", "", ["add", ["column", "score"], ["request", "bonus"]]),
            Feature("id_plus", "BIGINT", "", ["add", ["column", "driver_id"], ["column", "n"]]),
        ),
        requests=(Column("bonus", "DOUBLE"),),
    )
    late = make_view(
        "late_v2",
        unique_id="model.test.late.v2",
        entities=(Column("driver_id", "BIGINT"), Column("code", "VARCHAR")),
        stored=(Column("n", "BIGINT"),),
        features=(Feature("n", "BIGINT"), Feature("n__m", "BIGINT", "", ["column", "n"])),
        event_time="seen_at",
        ttl_us=hours(6),
    )
    # Names that, joined to a feature's by two underscores, are another view's and feature's too.
    first = make_view(
        "late_v2__n", stored=(Column("m", "BIGINT"),), features=(Feature("m", "BIGINT"),)
    )
    # An entity that is another view's request value.
    bonus = make_view("by_bonus", entities=(Column("bonus", "DECIMAL(9,2)"),))
    by_day = make_view("by_day", entities=(Column("day", "BIGINT"),))
    made.add(types, rides, late, first, bonus, by_day)
    made.service("both", ("rides", "score"), ("late_v2", "n"))
    made.service("clash", ("rides", "n"), ("late_v2", "n"))
    _build(made)
    sync(made.catalog)
    return made


def _build(made: Project) -> None:
    """The rows of all views but ``by_day``."""
    columns = {name: pa.array([kind[2], None], kind[1]) for name, kind in TYPES.items()}
    views = made.catalog.views
    made.build(views["types"], pa.table({"code": pa.array(["a", "b"]), **columns}), MORNING)
    made.build(
        views["rides"],
        pa.table(
            {
                "driver_id": [1, 2],
                "n": [3, None],
                "score": [0.5, -1.0],
                "tags": pa.array([[], ["x"]], pa.list_(pa.string())),
            }
        ),
        MORNING,
    )
    seen = [instant("07-01T06:00"), instant("07-01T05:59:59.999999")]
    keys = {"driver_id": [1, 1], "code": ["a", "b"]}
    made.build(
        views["late_v2"],
        pa.table({**keys, "seen_at": pa.array(seen, pa.timestamp("us", "UTC")), "n": [7, 8]}),
        MORNING,
    )
    made.build(views["late_v2__n"], pa.table({"carrier": ["AA"], "m": [9]}), MORNING)
    money = pa.array([Decimal("1.00")], pa.decimal128(9, 2))
    made.build(views["by_bonus"], pa.table({"bonus": money, "n": [4], "delay": [0.0]}), MORNING)


@pytest.fixture(scope="module")
def url(project: Project) -> Iterator[str]:
    with serving(project.catalog, project.folder) as made:
        yield made


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeastClient]:
    with feast_client(Path(tmp_path_factory.mktemp("client")), url) as made:
        yield made
