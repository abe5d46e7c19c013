"""Point-in-time on Trino: what forebay writes against range joins, by Trino's own CPU time.

    python -m benchmarks.trino_point_in_time [--events 5000000] [--spine 200000] [--per-key 1000] [--rounds 2]

Tables are made in the memory catalog of a Trino that the tests' recipe starts. All sides give a sum
over all features, which have to be equal. forebay is told about how many rows a key has, as by
`meta.rows_per_key`; its other lowerings stand beside the chosen one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from feature_specs.compile import compile_view
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.servers.trino import TrinoServer, trino_server

_TZ = "TIMESTAMP WITH TIME ZONE"
_COLUMNS = {"k": "BIGINT", "ts": _TZ, "v": "BIGINT"}
WINDOWS = FeatureView(
    "windows",
    "select k, "
    + ", ".join(
        f"count(*) filter (where ts > now() - interval '{d}' day) as n{d}, "
        f"sum(v) filter (where ts > now() - interval '{d}' day) as s{d}"
        for d in (1, 7, 30)
    )
    + " from events where ts > now() - interval '30' day group by k",
    ("k",),
)
LATEST = FeatureView("latest", "select k, ts, v from events", ("k",), event_time="ts")
_RANGE = {
    "windows": "select s.id, "
    + ", ".join(
        f"count(*) filter (where e.ts > s.ts - interval '{d}' day) as n{d}, "
        f"sum(e.v) filter (where e.ts > s.ts - interval '{d}' day) as s{d}"
        for d in (1, 7, 30)
    )
    + " from spine s join events e on e.k = s.k and e.ts <= s.ts and e.ts > s.ts - interval '30' day "
    "group by s.id",
    "latest": "select s.id, max_by(e.v, e.ts) as v from spine s join events e on e.k = s.k "
    "and e.ts <= s.ts group by s.id",
}
_LOWERINGS = {"windows": ("tiles", "cumulative", "stab"), "latest": ("tiles", "latest", "stab")}
_SUMS = {
    "windows": "sum(n1 + n7 + n30 + coalesce(s1, 0) + coalesce(s7, 0) + coalesce(s30, 0))",
    "latest": "sum(v)",
}


def _load(server: TrinoServer, events: int, spine: int, keys: int) -> None:
    """Events over a year, no two of a key at one instant; the spine over its second half."""
    year = 365 * 86_400_000
    base = "timestamp '2023-01-01 00:00:00 UTC'"
    for table in ("events", "spine"):
        server.run(f"drop table if exists {table}")
    rows = "unnest(sequence(0, {0})) as a(a) cross join unnest(sequence(0, 999)) as b(b)"
    server.run(
        f"create table events as select n % {keys} as k, cast({base} + (n * 7919 % {year}) * "
        "interval '0.001' second + (n % 7) * interval '1' second as timestamp(6) with time zone) as ts, "
        f"n * 31 % 1000 as v from (select cast(a as bigint) * 1000 + b as n from {rows.format(events // 1000 - 1)})"
    )
    server.run(
        f"create table spine as select n as id, n * 13 % {keys} as k, cast({base} + ({year} / 2 + "
        f"n * 104729 % ({year} / 2)) * interval '0.001' second as timestamp(6) with time zone) as ts "
        f"from (select cast(a as bigint) * 1000 + b as n from {rows.format(spine // 1000 - 1)})"
    )


def _measure(server: TrinoServer, sql: str) -> tuple[object, float]:
    """The answer's one value, and seconds of CPU by Trino's statistics."""
    cursor = server.connect().cursor()
    cursor.execute(sql)
    (row,) = cursor.fetchall()
    return row[0], cursor.stats["cpuTimeMillis"] / 1000


def _sides(name: str, view: FeatureView, per_key: int) -> Iterator[tuple[str, str]]:
    events = Leaf("events", _COLUMNS, event_time="ts", rows_per_key=per_key)
    compiled = compile_view(view, [events])
    chosen = compiled.for_engine("trino").lowering
    for lowering in _LOWERINGS[name]:
        sql = compiled.point_in_time(
            engine="trino", lowering=lowering, spine_columns=["id", "k", "ts"]
        )
        label = f"forebay, {lowering}{' (chosen)' if lowering == chosen else ''}"
        yield label, f"select {_SUMS[name]} from ({sql})"
    yield "range join", f"select {_SUMS[name]} from ({_RANGE[name]})"


def main() -> int:
    """1 where the answers differ."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--spine", type=int, default=200_000)
    parser.add_argument("--per-key", type=int, nargs="+", default=[1000, 25])
    parser.add_argument("--rounds", type=int, default=2, help="of which the least counts")
    asked = parser.parse_args()
    failed = 0
    with trino_server(large=True) as server:
        for each in asked.per_key:
            _load(server, asked.events, asked.spine, asked.events // each)
            for name, view in (("windows", WINDOWS), ("latest", LATEST)):
                sides = dict(_sides(name, view, each))
                measured: dict[str, tuple[object, float]] = {}
                for _ in range(asked.rounds):  # in turns: Java compiles what has run for a while
                    for label, sql in sides.items():
                        value, seconds = _measure(server, sql)
                        least = min(seconds, measured.get(label, (value, seconds))[1])
                        measured[label] = value, least
                answers = {value for value, _ in measured.values()}
                failed += len(answers) > 1
                for label, (value, seconds) in measured.items():
                    print(
                        f"{each} a key, {name}, {label}: {seconds:.1f} s of CPU, {value}",
                        flush=True,
                    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
