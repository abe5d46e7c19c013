"""A Feast repository with views, services and sources of each kind, and rows for it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.feast.environment import run_feast

US = pa.timestamp("us", tz="UTC")
START = datetime(2024, 1, 1, tzinfo=UTC)
TICK = timedelta(minutes=10)

SETTINGS = """\
project: rides
registry: registry.db
provider: local
online_store: {type: sqlite, path: online.db}
offline_store: {type: %s}
entity_key_serialization_version: 3
"""
FEATURES = """\
from datetime import timedelta
import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
city = Entity(name="city", join_keys=["city"], value_type=ValueType.STRING)
stats_source = FileSource(
    name="stats source", path="stats.parquet", timestamp_field="at",
    created_timestamp_column="created", field_mapping={"txt": "label"},
)
area_source = FileSource(name="areas", path="areas.parquet", timestamp_field="order")
stats = FeatureView(
    name="driver_stats", entities=[driver], ttl=timedelta(minutes=30), source=stats_source,
    schema=[Field(name="score", dtype=Float64, description="0 {{ to }} 1"),
            Field(name="trips", dtype=Int64), Field(name="label", dtype=String)],
    owner="ops@example.com", tags={"tier": "1"},
)
forever = FeatureView(
    name="driver_forever", entities=[driver], ttl=timedelta(0),
    schema=[Field(name="score", dtype=Float64)],
    source=PushSource(name="pushed", batch_source=stats_source),
)
areas = FeatureView(
    name="areas", entities=[driver, city], ttl=timedelta(hours=1), source=area_source,
    schema=[Field(name="Group", dtype=Int64), Field(name="open", dtype=Int64)], online=False,
)
alone = FeatureView(
    name="alone", entities=[], schema=[Field(name="open", dtype=Int64)],
    source=FileSource(name="alone", path="areas.parquet", timestamp_field="order"),
)
sent = RequestSource(name="sent", schema=[Field(name="bonus", dtype=Float64)])

@on_demand_feature_view(sources=[stats, sent], schema=[Field(name="total", dtype=Float64)])
def totals(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"total": inputs["score"] + inputs["bonus"]})

small = FeatureService(name="small", features=[stats[["score", "label"]], areas])
renamed = FeatureService(
    name="re-named", owner="Ann",
    features=[stats.with_name("origin").with_join_key_map({"driver_id": "origin_id"}),
              forever, totals],
)
only_totals = FeatureService(name="only_totals", features=[totals])
"""
#: Applies what stands in the folder, as `feast apply` does.
APPLY = """\
from pathlib import Path
from feast.repo_config import load_repo_config
from feast.repo_operations import apply_total
folder = Path(".").absolute()
apply_total(load_repo_config(folder, folder / "feature_store.yaml"), folder, True)
"""
#: Features of a service beside spine.parquet, for its row numbers, into out.parquet.
HISTORY = """\
import sys
import pandas as pd
from feast import FeatureStore
store = FeatureStore(repo_path=".")
service = store.get_feature_service(sys.argv[1])
spine = pd.read_parquet("spine.parquet")
more = {"filter_by_created_timestamp": True} if sys.argv[2:] else {}
names = [f"{p.name_to_use()}:{f.name}" for p in service.feature_view_projections
         for f in p.features if p.name != "totals"]
job = store.get_historical_features(
    entity_df=spine, features=names if sys.argv[1] != "re-named" else service,
    full_feature_names=True, **more)
job.to_df().to_parquet("out.parquet")
"""


def write_repository(folder: Path, offline_store: str = "duckdb") -> Path:
    """Write the repository with its rows, and apply it."""
    folder.mkdir()
    (folder / "feature_store.yaml").write_text(SETTINGS % offline_store)
    (folder / "features.py").write_text(FEATURES)
    draw = random.Random(4)
    pq.write_table(stats_rows(draw), folder / "stats.parquet")
    pq.write_table(area_rows(draw), folder / "areas.parquet")
    run_feast(folder, APPLY)
    return folder


def stats_rows(draw: random.Random, count: int = 400) -> pa.Table:
    """Rows of few drivers at few instants, so that many tie; no two tie in all of key, time and
    created time, where Feast takes any."""
    rows = {}
    for _ in range(count):
        driver, tick = draw.randint(1, 8), draw.randint(0, 24)
        late = draw.choice([None, 0, 1, 2, 3, 40])
        rows[driver, tick, late] = (
            draw.choice([None, draw.random()]),
            draw.choice([None, draw.randint(-9, 9)]),
            draw.choice([None, "", "ä", "x" * draw.randint(1, 3)]),
        )
    order = draw.sample(sorted(rows, key=str), len(rows))
    at = [START + tick * TICK for _, tick, _ in order]
    created = [None if late is None else START + (tick + late) * TICK for _, tick, late in order]
    score, trips, label = zip(*(rows[key] for key in order), strict=True)
    return pa.table(
        {
            "driver_id": pa.array([key[0] for key in order], pa.int64()),
            "at": pa.array(at, US),
            "created": pa.array(created, US),
            "score": pa.array(score, pa.float64()),
            "trips": pa.array(trips, pa.int64()),
            "txt": pa.array(label, pa.string()),
        }
    )


def area_rows(draw: random.Random, count: int = 150) -> pa.Table:
    """Rows of two keys, without ties; columns are named like keywords of SQL, some keys are null,
    and times have no zone."""
    seen = {
        (draw.randint(1, 4), draw.choice(["a", "b", "", None]), draw.randint(0, 24))
        for _ in range(count)
    }
    keys = draw.sample(sorted(seen, key=str), len(seen))
    at = [(START + tick * TICK).replace(tzinfo=None) for _, _, tick in keys]
    return pa.table(
        {
            "driver_id": pa.array([k[0] for k in keys], pa.int64()),
            "city": pa.array([k[1] for k in keys], pa.string()),
            "order": pa.array(at, pa.timestamp("us")),
            "Group": pa.array([draw.choice([None, n]) for n in range(len(keys))], pa.int64()),
            "open": pa.array(range(len(keys)), pa.int64()),
        }
    )


def spine_rows(draw: random.Random, count: int = 300) -> pa.Table:
    """Entities that are there and that are not, at instants on, just before and just after those at
    which rows come and expire. No row is there twice: Feast's dask makes one of two."""
    edge = [timedelta(0), timedelta(microseconds=1), -timedelta(microseconds=1)]
    rows = sorted(
        {
            (
                draw.randint(1, 9),
                draw.choice(["a", "b", "", "c", None]),
                START + draw.randint(-1, 30) * TICK + draw.choice(edge),
            )
            for _ in range(count)
        },
        key=str,
    )
    drivers, cities, instants = zip(*rows, strict=True)
    return pa.table(
        {
            "row": pa.array(range(len(rows)), pa.int64()),
            "driver_id": pa.array(drivers, pa.int64()),
            "origin_id": pa.array([d % 9 + 1 for d in drivers], pa.int64()),
            "city": pa.array(cities, pa.string()),
            "bonus": pa.array([float(d) for d in drivers], pa.float64()),
            "event_timestamp": pa.array(instants, US),
        }
    )


#: Fills Feast's own online store up to an instant, and prints what it answers to calls.
ONLINE = """\
import json, sys
from datetime import datetime, timedelta
from feast import FeatureStore
store = FeatureStore(repo_path=".")
now = datetime.fromisoformat(sys.argv[1])
store.materialize(now - timedelta(days=2), now, ["driver_stats", "driver_forever"])
answers = [store.get_online_features(**call).to_dict() for call in json.loads(sys.argv[2])]
open("answers.json", "w").write(json.dumps(answers))
"""
