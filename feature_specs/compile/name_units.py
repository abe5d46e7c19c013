"""Give intervals the unit that DuckDB reads in their text, which SQLGlot does not always keep."""

from __future__ import annotations

import re

from sqlglot import exp

from feature_specs.errors import CompileError, Location

_UNITS = (
    "microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "quarter",
    "year", "decade", "century", "millennium",
)  # fmt: skip
#: Spellings within an interval's text beside the unit's name and its plural.
_SHORT = {
    "us": "microsecond", "usec": "microsecond", "usecs": "microsecond", "usecond": "microsecond",
    "ms": "millisecond", "msec": "millisecond", "msecs": "millisecond", "msecond": "millisecond",
    "s": "second", "sec": "second", "secs": "second", "m": "minute", "min": "minute",
    "mins": "minute", "h": "hour", "hr": "hour", "hrs": "hour", "d": "day", "w": "week",
    "mon": "month", "mons": "month", "y": "year", "yr": "year", "yrs": "year", "dec": "decade",
    "decs": "decade", "c": "century", "cent": "century", "mil": "millennium", "mils": "millennium",
    "centuries": "century", "millennia": "millennium",
}  # fmt: skip
_TEXT = re.compile(r"\binterval\s*'([^']*)'", re.IGNORECASE)
#: One number and its unit, and something after them that SQLGlot drops.
_UNREAD = re.compile(r"\s*@?\s*[-+]?[\d.]+\s*[a-z]+\s+(?![-+]?[\d.]+\s*[a-z])\S", re.IGNORECASE)


def refuse_unread_intervals(sql: str, file: str) -> None:
    """Raises CompileError where an interval's text says more than a number and its unit, as in
    ``interval '7 days ago'``."""
    for found in _TEXT.finditer(sql):
        if _UNREAD.match(found[1]):
            line = sql.count("\n", 0, found.start()) + 1
            column = found.start() - sql.rfind("\n", 0, found.start())
            raise CompileError(
                f"{found[0]} says more than an amount",
                where=Location(file, line, column),
                mend="write a number and a unit, as in `interval '7 days'` or `- interval '7 days'`",
            )


def name_units(query: exp.Expr, file: str) -> None:
    """In place.

    Raises:
        CompileError: a unit is none of DuckDB's.
    """
    for interval in query.find_all(exp.Interval):
        unit = interval.args.get("unit")
        if not isinstance(unit, exp.Var):
            continue
        written = unit.name.lower()
        name = _SHORT.get(written, written.removesuffix("s"))
        if name not in _UNITS:
            raise CompileError(
                f"an interval in {unit.name!r}, which is no unit of time",
                where=Location(file),
                mend="write days, hours, minutes or seconds",
            )
        interval.set("unit", exp.var(name.upper()))
