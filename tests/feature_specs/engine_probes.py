"""One probe at least for every function in the engines' tables, compared with DuckDB's answer."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from tests.feature_specs.oracle import Row
from tests.feature_specs.worlds import TZ

COLUMNS = {
    "id": "INTEGER", "g": "INTEGER", "i": "INTEGER", "b": "BIGINT", "d": "DECIMAL(12,2)",
    "f": "DOUBLE", "s": "VARCHAR", "ok": "BOOLEAN", "ts": TZ, "n": "TIMESTAMP", "day": "DATE",
}  # fmt: skip

_T = datetime(2024, 2, 29, 23, 59, 59, 999_999)
_OLD = datetime(1960, 1, 1, 0, 0, 0, 1)

ROWS: list[Row] = [
    (1, 1, 5, 2**40, Decimal("2.50"), 2.5, "Apple é", True, _T.replace(tzinfo=UTC), _T, date(2024, 2, 29)),
    (2, 1, -5, -7, Decimal("-2.50"), -2.5, "b'a\\c", False, _OLD.replace(tzinfo=UTC), _OLD, date(1960, 1, 3)),
    (3, 1, 0, 0, Decimal("0.01"), 0.5, "", None, datetime(2024, 7, 1, 12, tzinfo=UTC), datetime(2024, 7, 1, 12), date(2024, 12, 31)),
    (4, 1, None, None, None, None, None, None, None, None, None),
    (5, 2, 7, 9_007_199_254_740_993, Decimal("12345.67"), 1e-7, "q", True, datetime(2021, 1, 3, 5, 6, 7, 8000, tzinfo=UTC), datetime(2021, 3, 14, 2, 30), date(2021, 1, 3)),
    (6, 2, 7, 3, Decimal("12345.67"), 3.5, "q", False, datetime(2021, 1, 4, tzinfo=UTC), datetime(2021, 11, 7, 1, 30), date(2020, 12, 28)),
    (7, 3, None, None, None, None, None, None, None, None, None),
]  # fmt: skip

SCALARS = (
    "i + b", "i - 2", "i * i", "i / 2", "i / 0", "-i / 0.0", "f / 0", "0.0 / 0", "d / 3", "i // 2", "b // 3", "cast(b as hugeint) // 3", "b // g", "cast(f as float) / 3",
    "cast(b as hugeint) // cast(g as hugeint)",
    "i % 3", "b & 3", "d + 0.01", "d * 2", "d * 1.5", "-d", "abs(i)", "abs(f)", "sign(d)",
    "greatest(i, 1)", "greatest(i, 1, b)", "least(d, 1.00)", "least(i, null, b)", "least(ts, timestamptz '2024-01-01 00:00:00+00')",
    "coalesce(i, -1)", "nullif(i, 7)", "i is null", "not i is null", "ok is true", "ok is not true", "ok is false",
    "i = 5 and ok", "i = 5 or ok", "not ok", "i <> 5", "i < 1", "i <= 0", "i > 1", "i >= 5",
    "i between 0 and 5", "i in (5, 7)", "i not in (5, 7)", "i is distinct from 5", "i is not distinct from null",
    "case when i > 1 then 'big' when i < 0 then 'low' end", "case i when 5 then 1 else 0 end", "if(ok, i, 0)",
    "cast(i as double)", "cast(ok as integer)", "cast(f as integer)", "cast(f as bigint)", "cast(d as integer)",
    "cast(i as varchar)", "cast(ok as varchar)", "cast(d as varchar)", "cast(day as varchar)", "cast('12' as integer)",
    "cast(d as decimal(10, 1))", "cast(i as decimal(10, 2))", "cast(b as hugeint)", "cast(ts as date)",
    "cast(day as timestamptz)", "cast(n as timestamptz)", "cast(day as timestamp)",
    "s || '!'", "concat(s, 'x', i)", "lower(s)", "upper(s)", "length(s)", "trim('  ' || s || ' ')", "substring(s, 2, 3)",
    "s like '%a%'", "s ilike 'a%'", "starts_with(s, 'b')", "strpos(s, 'a')", "replace(s, 'p', '_')",
    "exp(f)", "ln(f)", "ln(0)", "ln(-1)", "log(f)", "log(2, f)", "sqrt(abs(f))", "power(f, 2)", "floor(f)", "ceil(f)",
    "round(f)", "round(f, 1)", "round(d, 1)", "isnan(f)", "isfinite(f)", "cast(b as hugeint) >> 3",
    "epoch_us(ts)", "epoch_us(n)", "epoch_us(day)", "epoch_ns(ts)", "epoch(ts)", "epoch(ts - timestamptz '2024-01-01 00:00:00.000001+00')",
    "epoch(ts - n)", "epoch(interval '36' hour)", "make_timestamptz(epoch_us(ts))", "make_timestamp(epoch_us(n))",
    "ts - interval '1' hour", "ts + interval '7 days'", "ts - interval '1' month", "ts + interval '1' microsecond",
    "ts + to_days(2)", "ts - to_hours(i)", "ts + to_minutes(3)", "ts + to_seconds(30)",
    "ts > timestamptz '2024-01-01 00:00:00+00' - interval '3' month", "day + 1", "day - 1", "day - date '2024-01-01'",
    "day + interval '1' day", "day + interval '1' hour", "ts at time zone 'America/New_York'", "n at time zone 'America/New_York'", "n at time zone 'UTC'",
    "date_trunc('month', ts)", "date_trunc('week', ts)", "date_trunc('day', n)", "date_trunc('year', day)", "date_trunc('quarter', ts)",
    "date_diff('day', ts, timestamptz '2024-03-01 00:00:00+00')", "date_diff('month', day, date '2024-03-01')",
    "date_diff('hour', ts, timestamptz '2024-03-01 00:59:00+00')",
    "extract(year from ts)", "extract(month from ts)", "extract(day from ts)", "extract(hour from ts)", "extract(minute from ts)",
    "extract(second from ts)", "extract(quarter from ts)", "extract(week from ts)", "extract(doy from ts)", "extract(dow from ts)",
    "extract(isodow from ts)", "extract(epoch from ts)", "year(ts)", "month(ts)", "quarter(ts)", "week(ts)", "weekofyear(ts)", "day(ts)", "dayofmonth(ts)",
    "dayofyear(ts)", "hour(ts)", "minute(ts)", "second(ts)", "dayofweek(ts)", "isodow(ts)",
    "exists (select 1 from probe p where p.i = probe.i and p.id <> probe.id)",
    "case when i > 1000 then cast(error('no') as integer) else 1 end",
    "case when lower(current_setting('TimeZone')) in ('utc', 'z') then 1 else 2 end",
)  # fmt: skip

AGGREGATES = (
    "count(*)", "count(i)", "count(distinct i)", "count(*) filter (where ok)", "count_if(ok)", "sum(i)", "sum(b)", "sum(d)", "sum(f)", "sum(cast(d as float))", "sum(ok)",
    "sum(distinct i)", "sum(i) filter (where ok)", "avg(i)", "avg(d)", "avg(f)", "avg(distinct d)", "min(i)", "max(s)", "max(ts)", "min(f) filter (where i > 0)",
    "var_samp(f)", "var_pop(i)", "stddev(d)", "stddev_samp(f)", "stddev_pop(f)", "bool_or(ok)", "bool_and(ok)",
    "median(i)", "median(f) filter (where i > 0)", "quantile_cont(f, 0.25)", "quantile_cont(b, 0.9)", "list(i order by i desc)", "list(s order by s nulls first)",
    "list(i order by s, id) filter (where ok)", "first(i order by ts)", "first(s order by i desc nulls last, id)", "last(i order by ts, id)", "last(s order by id) filter (where i > 0)",
    "any_value(i order by id desc)", "first(g)", "any_value(g)", "string_agg(s, ',' order by s)", "string_agg(s, '-' order by id desc) filter (where i > 0)", "string_agg(distinct s, ',' order by s)",
    "arg_max(s, i)", "arg_max(i, case when not f is null then row(f, i) end)", "arg_min(i, ts)", "arg_min(s, f) filter (where i > 0)",
    "corr(i, f)", "covar_samp(i, f)", "covar_pop(d, f)", "kurtosis(id)", "approx_count_distinct(i)",
)  # fmt: skip

#: Over all rows; ``o`` stands for a window from the first row, ``m`` for one that moves.
WINDOWS = (
    "row_number() over o", "rank() over (partition by g order by i)", "dense_rank() over (order by i)", "percent_rank() over (order by i)",
    "cume_dist() over (order by i)", "ntile(3) over o", "lag(i) over o", "lag(i, 2, -1) over o", "lag(i, -1) over o", "lead(s, -2, 'none') over o",
    "lag(i, 0) over o", "lead(s) over o", "first_value(i) over o",
    "last_value(i ignore nulls) over (order by id rows between unbounded preceding and current row)", "nth_value(i, 2) over o",
    "sum(i) over m", "sum(d) over m", "sum(f) over m", "avg(i) over m", "avg(f) over m", "avg(d) over m", "count(*) over m", "count(i) filter (where ok) over m",
    "sum(f) filter (where ok) over m", "min(i) over m", "max(f) filter (where i > 0) over m", "bool_or(ok) over m", "bool_and(ok) over m", "count_if(ok) over m",
    "stddev_samp(f) over m", "var_pop(i) over m", "stddev(d) filter (where id > 2) over m", "stddev_pop(f) over m", "var_samp(f) over m", "sum(i) over o", "avg(f) over o", "count(*) over (partition by g)",
    "sum(f) over (order by id range between unbounded preceding and current row)",
)  # fmt: skip
_NAMED = "window o as (order by id), m as (order by id range between 2 preceding and current row)"


#: Floats that are not numbers, not finite, or not positive zeros.
NAN_COLUMNS = {"id": "INTEGER", "g": "INTEGER", "i": "INTEGER", "f": "DOUBLE"}
_NAN, _INF = float("nan"), float("inf")
NAN_ROWS: list[Row] = [
    (1, 1, 1, _NAN), (2, 1, 2, _INF), (3, 1, 3, -_INF), (4, 1, 4, _NAN), (5, 1, 5, 2.5), (6, 1, 6, None),
    (7, 2, 7, _NAN), (8, 2, None, None), (9, 2, 4, -0.0), (10, 3, None, _NAN), (11, 4, 1, 1.5), (12, 4, 2, -1.0),
]  # fmt: skip
NAN_SCALARS = (
    "f > 1", "f < 1", "f >= 2.5", "f <= 2.5", "f = f", "f <> f", "f > i", "i < f", "f >= f", "i >= f", "f <= i", "i = f", "f <> i",
    "f between 0 and 1e308", "f not between i and 100", "f between -1e308 and f", "f in (f, 2)", "f in (1.5, 2.5)", "not f > 1", "not f = f", "case when f > 1 then 1 else 0 end",
    "case f when f then 1 else 0 end", "case f when 2.5 then 1 when i then 2 end", "greatest(f, 1.0::double)", "greatest(f, i, 2)", "least(f, 1.0::double)", "nullif(f, f)", "nullif(f, i)",
    "f is distinct from f", "f = -0.0::double", "f + 1", "f * 0", "abs(f)", "-f", "f / 2", "round(f)", "floor(f)", "sign(f)", "sqrt(abs(f))", "exp(f)", "power(f, 2)", "isnan(f)", "isfinite(f)",
    "f > null", "exists (select 1 from nans n where n.f = nans.f and n.id <> nans.id)", "exists (select 1 from nans n where n.f > nans.f)",
)  # fmt: skip
NAN_AGGREGATES = (
    "min(f)", "max(f)", "sum(f)", "avg(f)", "count(distinct f)", "arg_max(id, f)", "arg_min(id, f)", "arg_max(id, case when not f is null then row(f, -id) end)",
    "first(id order by f, id)", "first(id order by f desc, id)", "list(id order by f desc nulls last, id)", "count(*) filter (where f > 1)", "max(f) filter (where id > 3)", "any_value(f order by id)",
    "median(f) filter (where f < 100)", "quantile_cont(f, 0.3) filter (where f < 100)", "median(f) filter (where id < 4 and id > 1)",
)  # fmt: skip
NAN_WINDOWS = (
    "row_number() over (order by f, id)", "rank() over (order by f desc)", "dense_rank() over (order by f)", "count(*) over (partition by f)", "lag(f) over (order by f, id)",
    "sum(f) over m", "avg(f) over m", "min(f) over m", "max(f) over m", "max(f) filter (where i > 1) over m", "max(f) over (order by id)",
)  # fmt: skip


def nan_statements() -> list[str]:
    """Statements over a table ``nans``."""
    return [
        *(f"select id, {sql} as v from nans" for sql in NAN_SCALARS),
        *(f"select g, {sql} as v from nans group by g" for sql in NAN_AGGREGATES),
        *(f"select id, {sql} as v from nans {_NAMED}" for sql in NAN_WINDOWS),
        "select count(*) as id, max(i) as v from nans group by f",
        "select p.id, q.id as other from nans p join nans q on p.f = q.f",
        "select p.id, q.id as other from nans p left join nans q on p.f < q.f",
        "select id from nans where f > 1",
        "select id from nans where not f <= 1",
        "select id from nans qualify row_number() over (partition by g order by f desc, id) = 1",
    ]


def probe_statements() -> list[str]:
    """Statements over a table ``probe``, answers in a total order of their first column."""
    return [
        *(f"select id, {sql} as v from probe" for sql in SCALARS),
        *(f"select g, {sql} as v from probe group by g" for sql in AGGREGATES),
        *(f"select id, {sql} as v from probe {_NAMED}" for sql in WINDOWS),
        "select id, i as v from probe qualify row_number() over (partition by g order by id desc) = 1",
        "select id, cast(i as double) + 0.5 as v, i + 1 as w from probe where w > 1",
        "select distinct g as id, cast(g as bigint) as v from probe",
        "select g as id, i as v from probe union select i, g from probe",
        "select g as id, i as v from probe except select 1, 5",
        "select g as id, i as v from probe intersect select 1, 5",
        "select p.id, q.s as v from probe p asof join probe q on p.g = q.g and p.id > q.id",
        "select p.id, q.s as v from probe p asof left join probe q on p.g = q.g and p.id >= q.id + 1",
        "select p.id, q.s as v from probe p asof left join probe q on p.g = q.g and p.id < q.id",
        "select p.id, q.i as v from probe p asof left join probe q on p.id <= q.id",
        "select p.id, p.s as v from probe p semi join probe q on p.i = q.g",
        "select p.id, p.s as v from probe p anti join probe q on p.i = q.g",
        "select i.id, (select count(*) from probe p where p.g = i.g) as v from probe i",
        "select id, v from (select * exclude (s), s as v from probe) as t",
    ]
