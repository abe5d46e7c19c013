"""The full training set of `arrival_delay_v1`: forebay's SQL against range joins.

Run it at the root of a project that `forebay ingest --example flights` and `forebay compile` have
filled. Both sides read the same Iceberg files, through the same connection settings, and write Parquet.
The range joins run on a random sample of the spine, their time beyond what an empty spine costs is
scaled to the whole, and their values must equal ours on that sample.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from forebay.dbt_project.project import Project, find_project
from forebay.training import write_training_set
from lakehouse.lake import open_lake
from lakehouse.relations import connect, define_relations, pin_relations

SERVICE = "arrival_delay_v1"
REQUIRED = 50
TOLERANCE = 1e-9

SPINE = """
select flight_id, origin, dest, carrier, tailnum, scheduled_at, arr_delay > 15 as late_15
from flights.nyc.flights
"""

#: View to its range join: the widest window (or the ttl) in ON, FILTER for the rest.
RANGE_JOINS = {
    "origin_departures": """
        select s.flight_id,
            count(*) filter (where d.departed_at > s.scheduled_at - interval 1 hour) as departures_1h,
            count(*) filter (where d.departed_at > s.scheduled_at - interval 24 hour) as departures_24h,
            count(*) as departures_7d,
            avg(d.dep_delay) filter (where d.departed_at > s.scheduled_at - interval 1 hour) as mean_dep_delay_1h,
            avg(d.dep_delay) filter (where d.departed_at > s.scheduled_at - interval 24 hour) as mean_dep_delay_24h,
            avg(d.dep_delay) as mean_dep_delay_7d,
            max(d.dep_delay) filter (where d.departed_at > s.scheduled_at - interval 1 hour) as max_dep_delay_1h,
            max(d.dep_delay) filter (where d.departed_at > s.scheduled_at - interval 24 hour) as max_dep_delay_24h,
            max(d.dep_delay) as max_dep_delay_7d
        from sample s join flights.nyc.departures d
            on d.origin = s.origin and d.departed_at <= s.scheduled_at
            and d.departed_at > s.scheduled_at - interval 7 day
        group by s.flight_id
    """,
    "carrier_arrivals": """
        select s.flight_id,
            count(*) filter (where a.departed_at > s.scheduled_at - interval 7 day) as arrivals_7d,
            count(*) as arrivals_30d,
            avg(a.arr_delay) filter (where a.departed_at > s.scheduled_at - interval 7 day) as mean_arr_delay_7d,
            avg(a.arr_delay) as mean_arr_delay_30d,
            stddev_samp(a.arr_delay) filter (where a.departed_at > s.scheduled_at - interval 7 day) as stddev_arr_delay_7d,
            stddev_samp(a.arr_delay) as stddev_arr_delay_30d,
            count(*) filter (where a.arr_delay > 15 and a.departed_at > s.scheduled_at - interval 7 day)
                / nullif(count(a.arr_delay) filter (where a.departed_at > s.scheduled_at - interval 7 day), 0) as late_share_7d,
            count(*) filter (where a.arr_delay > 15) / nullif(count(a.arr_delay), 0) as late_share_30d
        from sample s join flights.nyc.arrivals a
            on a.carrier = s.carrier and a.arrived_at <= s.scheduled_at and a.departed_at <= s.scheduled_at
            and a.departed_at > s.scheduled_at - interval 30 day
        group by s.flight_id
    """,
    "route_history": """
        select s.flight_id, count(*) as flights_30d, avg(a.arr_delay) as mean_arr_delay_30d
        from sample s join flights.nyc.arrivals a
            on a.origin = s.origin and a.dest = s.dest
            and a.arrived_at <= s.scheduled_at and a.departed_at <= s.scheduled_at
            and a.departed_at > s.scheduled_at - interval 30 day
        group by s.flight_id
    """,
    "aircraft_last_flight": """
        select flight_id, last.origin as last_origin, last.dest as last_dest, last.dep_delay as last_dep_delay,
            epoch(scheduled_at - last.departed_at) as seconds_since_last_departure
        from (
            select s.flight_id, s.scheduled_at,
                arg_max({origin: d.origin, dest: d.dest, dep_delay: d.dep_delay, departed_at: d.departed_at},
                    (d.departed_at, d.flight_id)) as last
            from sample s join flights.nyc.departures d
                on d.tailnum = s.tailnum and d.departed_at <= s.scheduled_at
                and d.departed_at >= s.scheduled_at - interval 7 day
            group by s.flight_id, s.scheduled_at
        )
    """,
    "origin_weather": """
        select flight_id, last.temp, last.wind_speed, last.precip, last.visib
        from (
            select s.flight_id,
                arg_max({temp: w.temp, wind_speed: w.wind_speed, precip: w.precip, visib: w.visib},
                    w.observed_at) as last
            from sample s join flights.nyc.weather w
                on w.origin = s.origin and w.observed_at <= s.scheduled_at
                and w.observed_at >= s.scheduled_at - interval 3 hour
            group by s.flight_id
        )
    """,
    "aircraft_profile": """
        select s.flight_id, extract(year from s.scheduled_at) - p.manufactured as age_years, p.seats, p.manufacturer
        from sample s join flights.nyc.planes p on p.tailnum = s.tailnum
    """,
}


def open_tables(project: Project) -> duckdb.DuckDBPyConnection:
    """A connection that reads the Iceberg tables as they stand now."""
    catalog = project.catalog()
    connection = connect(catalog)
    define_relations(connection, pin_relations(open_lake(project.lake), catalog.relations))
    connection.execute(f"create view spine as {SPINE}")
    return connection


def write_ours(project: Project, folder: Path, out: Path) -> None:
    """From the Iceberg tables, the spine included, to the whole training set in Parquet."""
    connection = open_tables(project)
    connection.execute(f"copy spine to '{folder}/spine.parquet' (format parquet)")
    connection.close()
    write_training_set(project, SERVICE, folder / "spine.parquet", out, timestamp="scheduled_at")


def write_theirs(project: Project, flights: Path, out: Path) -> dict[str, float]:
    """The same by range joins for the flights in a Parquet file; seconds a view."""
    connection = open_tables(project)
    connection.execute(
        f"create temp table sample as select * from spine"
        f" where flight_id in (select flight_id from '{flights}')"
    )
    seconds = {}
    for view, sql in RANGE_JOINS.items():
        started = time.perf_counter()
        connection.execute(f"create temp table {view} as {sql}")
        seconds[view] = time.perf_counter() - started
    columns = ["sample.*"]
    for view in RANGE_JOINS:
        names = connection.execute(f"describe {view}").fetchall()
        columns += [f"{view}.{n[0]} as {view}__{n[0]}" for n in names if n[0] != "flight_id"]
    joins = " ".join(f"left join {view} using (flight_id)" for view in RANGE_JOINS)
    connection.execute(
        f"copy (select {', '.join(columns)} from sample {joins}) to '{out}' (format parquet)"
    )
    connection.close()
    return seconds


def differences(ours: Path, theirs: Path) -> list[str]:
    """Columns whose values differ on the sample, with how many rows; doubles within 1e-9."""
    connection = duckdb.connect()
    described = connection.execute(f"describe select * from '{theirs}'").fetchall()
    mine = {c[0] for c in connection.execute(f"describe select * from '{ours}'").fetchall()}
    found = [f"{name}: only one side has it" for name in mine ^ {c[0] for c in described}]
    for name, type_ in ((c[0], c[1]) for c in described if c[0] in mine):
        unequal = f'o."{name}" is distinct from t."{name}"'
        if type_ == "DOUBLE":
            close = f'abs(o."{name}" - t."{name}") <= {TOLERANCE} * greatest(1, abs(t."{name}"))'
            unequal += f" and not coalesce({close}, false)"
        row = connection.execute(
            f"select count(*) from '{theirs}' t left join '{ours}' o using (flight_id) where {unequal}"
        ).fetchone()
        if row is not None and row[0]:
            found.append(f"{name}: {row[0]} rows")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=64, help="one flight in so many (default 64)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each side; medians count")
    parser.add_argument(
        "--full", action="store_true", help="the rival on the whole spine, no scaling"
    )
    options = parser.parse_args()
    project = find_project()
    with tempfile.TemporaryDirectory() as folder:
        return compare(project, options, Path(folder))


def compare(project: Project, options: argparse.Namespace, folder: Path) -> int:
    """Measure both sides by turns, check the values, print the table."""
    part = 1 if options.full else options.sample
    ours, theirs = folder / "ours.parquet", folder / "theirs.parquet"
    connection = open_tables(project)
    for name, rows in (("sample", f"hash(flight_id) % {part} = 0"), ("one", "flight_id = 1")):
        connection.execute(f"copy (from spine where {rows}) to '{folder / name}.parquet'")
    sampled = connection.execute(f"select count(*) from '{folder}/sample.parquet'").fetchone()
    connection.close()
    our_runs, their_runs, empty_runs = [], [], []
    views: dict[str, float] = {}
    for _ in range(options.runs):
        started = time.perf_counter()
        write_ours(project, folder, ours)
        our_runs.append(time.perf_counter() - started)
        started = time.perf_counter()
        write_theirs(project, folder / "one.parquet", theirs)
        empty_runs.append(time.perf_counter() - started)
        started = time.perf_counter()
        views = write_theirs(project, folder / "sample.parquet", theirs)
        their_runs.append(time.perf_counter() - started)
    us, fixed = statistics.median(our_runs), statistics.median(empty_runs)
    measured = statistics.median(their_runs)
    them = measured if options.full else fixed + (measured - fixed) * part
    differing = differences(ours, theirs)
    written = duckdb.connect().execute(f"select count(*) from '{ours}'").fetchone()
    print(
        f"rows {written and written[0]:,}, sample {sampled and sampled[0]:,} (1/{part}), runs {options.runs}"
    )
    print(f"{'':34}{'seconds':>9}")
    print(f"{'forebay, whole spine':34}{us:9.2f}   of {', '.join(f'{r:.2f}' for r in our_runs)}")
    print(
        f"{'range joins, sample':34}{measured:9.2f}   of {', '.join(f'{r:.2f}' for r in their_runs)}"
    )
    for view, seconds in views.items():
        print(f"{'  ' + view:34}{seconds:9.2f}   (last run)")
    print(f"{'range joins, one row':34}{fixed:9.2f}")
    print(
        f"{'range joins, whole spine':34}{them:9.1f}   {'measured' if options.full else 'scaled'}"
    )
    print(f"{'ratio':34}{them / us:9.1f}   required {REQUIRED}")
    print("values: " + ("equal on the sample" if not differing else "; ".join(differing)))
    return 0 if them / us >= REQUIRED and not differing else 1


if __name__ == "__main__":
    sys.exit(main())
