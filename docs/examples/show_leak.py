"""Show what a naive join does to a model: an AUC that it promises and an AUC that it gets.

Run it at the root of the flights project, after `make demo` (or `forebay ingest --example flights`,
`forebay build` and `forebay train arrival_delay_v1`):

    python docs/examples/show_leak.py [TRAINING_SET.parquet]

The honest set is forebay's. The naive one has the same columns for the same flights from feature
tables grouped by calendar bucket and joined on the bucket: what one writes in an afternoon. A flight's
bucket holds flights that leave after it, arrivals that nobody had seen yet, and the flight itself.
The models differ in nothing else. "What it gets" is its AUC on features as serving would have them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from forebay.dbt_project.project import find_project
from forebay.training import write_training_set
from lakehouse.lake import open_lake
from lakehouse.relations import connect, define_relations, pin_relations

TEST_FROM = "2013-10-01"

#: The naive feature tables: one row a key and calendar bucket, whenever its rows became known.
NAIVE_TABLES = """
create temp table by_hour as
select origin, date_trunc('hour', departed_at) as hour,
    count(*) as n, avg(dep_delay) as mean, max(dep_delay) as most
from flights.nyc.flights where departed_at is not null group by all;

create temp table by_origin as
select origin, date_trunc('day', departed_at) as day,
    count(*) as n, sum(dep_delay) as total, max(dep_delay) as most
from flights.nyc.flights where departed_at is not null group by all;

create temp table by_carrier as
select carrier, date_trunc('day', departed_at) as day, count(*) as n, count(arr_delay) as known,
    sum(arr_delay) as total, sum(arr_delay * arr_delay) as squares,
    count(*) filter (where arr_delay > 15) as late
from flights.nyc.flights where arrived_at is not null group by all;

create temp table by_route as
select origin, dest, date_trunc('day', departed_at) as day,
    count(*) as n, count(arr_delay) as known, sum(arr_delay) as total
from flights.nyc.flights where arrived_at is not null group by all;

create temp table by_aircraft as
select tailnum, date_trunc('day', departed_at) as day,
    arg_max(dep_delay, departed_at) as last_dep_delay, max(departed_at) as departed_at
from flights.nyc.flights where departed_at is not null and tailnum is not null group by all;
"""

NAIVE = """
with days as (select distinct date_trunc('day', scheduled_at) as day from honest),
origin_7d as (
    select origin, d.day, sum(n) as n, sum(total) / sum(n) as mean, max(most) as most
    from days d join by_origin b on b.day <= d.day and b.day > d.day - interval 7 day group by all),
carrier_7d as (
    select carrier, d.day, sum(n) as n, sum(total) / sum(known) as mean, sum(late) / sum(known) as late,
        sqrt((sum(squares) - sum(total) ** 2 / sum(known)) / nullif(sum(known) - 1, 0)) as deviation
    from days d join by_carrier b on b.day <= d.day and b.day > d.day - interval 7 day group by all),
carrier_30d as (
    select carrier, d.day, sum(n) as n, sum(total) / sum(known) as mean, sum(late) / sum(known) as late,
        sqrt((sum(squares) - sum(total) ** 2 / sum(known)) / nullif(sum(known) - 1, 0)) as deviation
    from days d join by_carrier b on b.day <= d.day and b.day > d.day - interval 30 day group by all),
route_30d as (
    select origin, dest, d.day, sum(n) as n, sum(total) / sum(known) as mean
    from days d join by_route b on b.day <= d.day and b.day > d.day - interval 30 day group by all)
select h.* replace (
    by_hour.n as origin_departures__departures_1h,
    by_hour.mean as origin_departures__mean_dep_delay_1h,
    by_hour.most as origin_departures__max_dep_delay_1h,
    by_origin.n as origin_departures__departures_24h,
    by_origin.total / by_origin.n as origin_departures__mean_dep_delay_24h,
    by_origin.most as origin_departures__max_dep_delay_24h,
    origin_7d.n as origin_departures__departures_7d,
    origin_7d.mean as origin_departures__mean_dep_delay_7d,
    origin_7d.most as origin_departures__max_dep_delay_7d,
    carrier_7d.n as carrier_arrivals__arrivals_7d,
    carrier_7d.mean as carrier_arrivals__mean_arr_delay_7d,
    carrier_7d.deviation as carrier_arrivals__stddev_arr_delay_7d,
    carrier_7d.late as carrier_arrivals__late_share_7d,
    carrier_30d.n as carrier_arrivals__arrivals_30d,
    carrier_30d.mean as carrier_arrivals__mean_arr_delay_30d,
    carrier_30d.deviation as carrier_arrivals__stddev_arr_delay_30d,
    carrier_30d.late as carrier_arrivals__late_share_30d,
    route_30d.n as route_history__flights_30d,
    route_30d.mean as route_history__mean_arr_delay_30d,
    by_aircraft.last_dep_delay as aircraft_last_flight__last_dep_delay,
    epoch(h.scheduled_at - by_aircraft.departed_at)
        as aircraft_last_flight__seconds_since_last_departure)
from honest h
left join by_hour on by_hour.origin = h.origin and by_hour.hour = date_trunc('hour', h.scheduled_at)
left join by_origin on by_origin.origin = h.origin and by_origin.day = date_trunc('day', h.scheduled_at)
left join origin_7d on origin_7d.origin = h.origin and origin_7d.day = date_trunc('day', h.scheduled_at)
left join carrier_7d on carrier_7d.carrier = h.carrier and carrier_7d.day = date_trunc('day', h.scheduled_at)
left join carrier_30d on carrier_30d.carrier = h.carrier and carrier_30d.day = date_trunc('day', h.scheduled_at)
left join route_30d on route_30d.origin = h.origin and route_30d.dest = h.dest
    and route_30d.day = date_trunc('day', h.scheduled_at)
left join by_aircraft on by_aircraft.tailnum = h.tailnum and by_aircraft.day = date_trunc('day', h.scheduled_at)
"""

Matrix = np.ndarray[Any, np.dtype[np.float64]]


def matrix(connection: duckdb.DuckDBPyConnection, table: str, rows: str) -> tuple[Matrix, Matrix]:
    """The numeric features (null as NaN) and labels of the labelled flights among some rows."""
    described = connection.execute(f"describe {table}").fetchall()
    features = [c[0] for c in described if "__" in c[0] and c[1] != "VARCHAR"]
    columns = ", ".join(f'"{f}"::double as "{f}"' for f in features)
    arrays = connection.execute(
        f"select {columns}, late_15::double as label from {table}"
        f" where late_15 is not null and {rows} order by flight_id"
    ).fetchnumpy()
    filled = {name: np.ma.filled(values, np.nan) for name, values in arrays.items()}
    return np.column_stack([filled[f] for f in features]), filled["label"]


def main() -> None:
    project = find_project()
    path = Path(
        sys.argv[1] if len(sys.argv) > 1 else project.root / "target/arrival_delay_v1.parquet"
    )
    if not path.exists():
        sys.exit(f"{path} is missing: run `make demo`, or `forebay train arrival_delay_v1`")
    catalog = project.catalog()
    connection = connect(catalog)
    define_relations(connection, pin_relations(open_lake(project.lake), catalog.relations))
    connection.execute(NAIVE_TABLES)
    print(
        "Is a flight more than 15 minutes late? Trained on January to September, tested on the rest."
    )
    compare(connection, path, "asked at the scheduled departure")
    with tempfile.TemporaryDirectory() as folder:
        spine, ahead = Path(folder) / "spine.parquet", Path(folder) / "ahead.parquet"
        given = "columns('^([^_]|_[^_])*$')"  # not the features, whose names hold two underscores
        connection.execute(f"copy (select {given} from '{path}') to '{spine}'")
        write_training_set(project, "arrival_delay_v1", spine, ahead, lag="2 hours")
        compare(connection, ahead, "asked two hours before it")


def compare(connection: duckdb.DuckDBPyConnection, path: Path, title: str) -> None:
    """Train on the set in a file and on the naive one, and print what each promises and gets."""
    connection.execute(f"create or replace temp table honest as from '{path}'")
    connection.execute(f"create or replace temp table naive as {NAIVE}")
    train, test = f"scheduled_at < '{TEST_FROM}'", f"scheduled_at >= '{TEST_FROM}'"
    models = {}
    for table in ("honest", "naive"):
        model = HistGradientBoostingClassifier(max_iter=50, random_state=0)
        models[table] = model.fit(*matrix(connection, table, train))
    print(f"\n{title:40}AUC")
    for trained, tested, what in (
        ("naive", "naive", "naive join: what it promises"),
        ("naive", "honest", "naive join: what it gets"),
        ("honest", "honest", "point-in-time: promises and gets"),
    ):
        values, labels = matrix(connection, tested, test)
        score = roc_auc_score(labels, models[trained].predict_proba(values)[:, 1])
        print(f"{what:40}{score:.3f}", flush=True)


if __name__ == "__main__":
    main()
