"""Ask DuckDB itself what a compiled view's columns are: the last check before any data.

An in-memory database holds an empty table for each leaf. No row is read, so nothing that only
certain data would meet is refused; constants that no data could mend are.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from threading import Lock
from typing import Any

import duckdb
from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.duckdb_sql import DUCKDB, duckdb_sql
from feature_specs.errors import CompileError, Location, SpecError, first_line
from feature_specs.leaf import Leaf
from feature_specs.names import fold_name
from feature_specs.time_zones import check_zone

_SOME_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)
_FLOATS = ("FLOAT", "DOUBLE", "REAL")
_COMPARED = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.In, exp.Between, exp.NullSafeEQ)
_TEXT = ("VARCHAR", "TEXT", "STRING", "CHAR")
#: A constant's cast that DuckDB has yet to compute: what is not there is what it could not read.
_CAST = re.compile(r"(?<!TRY_)CAST\('((?:[^']|'')*)' AS ([A-Z][A-Z_ ]*(?:\([0-9, ]*\))?)\)")


@dataclass(frozen=True)
class Described:
    """DuckDB's types of a view's stored columns, keys and event_time too, and of its features."""

    stored: Mapping[str, str]
    features: Mapping[str, str]


@dataclass
class _Tables:
    """Empty copies of leaves, against which statements are bound; one database a process."""

    process: int = 0
    connection: duckdb.DuckDBPyConnection | None = None
    made: dict[str, Mapping[str, str]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def open(self) -> duckdb.DuckDBPyConnection:
        """The connection of this process: a fork must not use its parent's."""
        if self.connection is None or self.process != os.getpid():
            self.connection = duckdb.connect(config={"threads": 1})
            self.connection.execute("set timezone = 'UTC'")
            self.connection.execute("pragma disable_optimizer")
            self.process, self.made = os.getpid(), {}
        return self.connection

    def make(self, leaf: Leaf, file: str) -> None:
        """Create a leaf's table. Raises CompileError where DuckDB has no such type or name."""
        if self.made.get(leaf.name) == leaf.columns:
            return
        connection = self.open()
        parts = [f'"{p.name}"' for p in exp.to_table(leaf.name, dialect=DUCKDB).parts]
        listed = ", ".join(f'"{name}" {kind}' for name, kind in leaf.columns.items())
        try:
            if len(parts) == 3:
                connection.execute(f"attach if not exists ':memory:' as {parts[0]}")
            if len(parts) > 1:
                connection.execute(f"create schema if not exists {'.'.join(parts[:-1])}")
            connection.execute(f"create or replace table {'.'.join(parts)} ({listed})")
        except duckdb.Error as error:
            for name, kind in leaf.columns.items():
                if not _is_type(kind):
                    raise CompileError(
                        f"column {name!r} of {leaf.name} is of type {kind!r}, which DuckDB does "
                        "not have",
                        where=leaf.where or Location(file),
                        mend="write one of DuckDB's types; an ENUM with its values",
                    ) from None
            raise CompileError(
                f"DuckDB cannot have a table {leaf.name}: {first_line(error)}",
                where=leaf.where or Location(file),
                mend="rename the table or its columns",
            ) from None
        self.made[leaf.name] = dict(leaf.columns)


_TABLES = _Tables()


def describe_view(draft: Draft, stored: str, at_reading: str | None) -> Described:
    """Types of a view's columns.

    Args:
        stored: SQL of its stored columns.
        at_reading: SQL of the features that are computed when read, over a relation that is to be
            named ``forebay_nulls``; None where there are none.

    Raises:
        CompileError: DuckDB refuses the query or a leaf's type, a constant in it can never be read
            as what it is compared with, or a key is a float.
    """
    _check_zones(draft)
    with _TABLES.lock:
        for leaf in draft.leaves.values():
            _TABLES.make(leaf, draft.file)
        types = _types(draft, stored)
        if _may_misread(draft):
            _check_constants(draft, stored)
        features = {f.name: types[f.name] for f in draft.features if f.expression is None}
        if at_reading is not None:
            nulls = ", ".join(f'cast(null as {kind}) as "{n}"' for n, kind in types.items())
            read = at_reading.replace("forebay_nulls", f"(select {nulls})")
            features |= {fold_name(n): kind for n, kind in _types(draft, read).items()}
    for key in draft.view.entities:
        if types[key] in _FLOATS:
            raise CompileError(
                f"entity {draft.label(key)!r} is a {types[key]}, and floats are no keys",
                where=Location(draft.file),
                mend="cast it to an integer, a decimal or text",
            )
    return Described(types, features)


def _types(draft: Draft, sql: str) -> dict[str, str]:
    given = {"as_of": _SOME_INSTANT} if "$as_of" in sql else None
    try:
        rows = _TABLES.open().execute(f"describe {sql}", given).fetchall()
    except duckdb.Error as error:
        raise _refusal(draft, error) from None
    return {name: kind for name, kind, *_ in rows}


def _refusal(draft: Draft, error: duckdb.Error) -> CompileError:
    said = first_line(error)
    return CompileError(
        f"DuckDB refuses the query: {said}",
        where=_place(draft, said),
        mend=_MENDS.get(said.split(":")[0], "mend the SQL, and check the types of its columns"),
    )


_MENDS = {
    "Catalog Error": "use a function that DuckDB has without an extension",
    "Binder Error": "cast its arguments to types that it takes, or name columns as alias.column",
    "Conversion Error": "write the constant as a value of the type that it is compared with",
}


def _place(draft: Draft, said: str) -> Location:
    """Where the author's text holds what DuckDB's message names."""
    words = {w.lower() for w in re.findall(r"\w+", said)}
    for node in draft.tree.walk():
        if isinstance(node, exp.Func):
            unnamed = isinstance(node, (exp.Anonymous, exp.AnonymousAggFunc))
            name = node.name if unnamed else node.sql_name()
            if name.lower() in words and not isinstance(node, (exp.And, exp.Or)):
                return draft.locate(node)
    return Location(draft.file)


def _may_misread(draft: Draft) -> bool:
    """Whether a text may have to be read as another type: the plan is looked at only then."""
    texts = _text_columns(draft)
    for node in draft.tree.find_all(*_COMPARED):
        sides = list(node.iter_expressions())
        if any(isinstance(s, exp.Literal) and s.is_string for s in sides):
            others = [s for s in sides if not isinstance(s, exp.Literal)]
            if not all(isinstance(o, exp.Column) and o.name in texts for o in others):
                return True
    casts = (c for c in draft.tree.find_all(exp.Cast) if type(c) is exp.Cast)
    return any(
        isinstance(c.this, exp.Literal) and not _is_readable(c.this.this, duckdb_sql(c.to))
        for c in casts
    )


def _text_columns(draft: Draft) -> set[str]:
    """Names that only text columns of the leaves have, and nothing that a subquery makes."""
    made = {n for q in draft.tree.find_all(exp.Query) if q.parent for n in q.named_selects}
    columns = [c for leaf in draft.leaves.values() for c in leaf.columns.items()]
    others = {name for name, kind in columns if kind.upper() not in _TEXT}
    return {name for name, _ in columns} - others - made


def _check_constants(draft: Draft, stored: str) -> None:
    """Raises CompileError where a text can be no value of the type that it is read as.

    Inside CASE a constant may stand where no row ever comes.
    """
    given = {"as_of": _SOME_INSTANT} if "$as_of" in stored else None
    plan = _TABLES.open().execute(f"explain (format json) {stored}", given).fetchall()[0][1]
    for text in _texts(json.loads(plan)):
        for found in _CAST.finditer(text):
            value = found[1].replace("''", "'")
            if "CASE" not in text[: found.start()] and not _is_readable(value, found[2]):
                literals = draft.tree.find_all(exp.Literal)
                node = next((n for n in literals if n.is_string and n.this == value), None)
                raise CompileError(
                    f"{value!r} is no {found[2]}, and is compared with one or cast to it",
                    where=draft.locate(node.parent if node is not None else None),
                    mend="write a value of that type, or cast the other side to text",
                )


def _texts(plan: Any) -> Iterator[str]:
    if isinstance(plan, str):
        yield plan
    elif isinstance(plan, (dict, list)):
        for part in plan.values() if isinstance(plan, dict) else plan:
            yield from _texts(part)


@lru_cache(maxsize=4096)
def _is_readable(value: str, kind: str) -> bool:
    row = _TABLES.open().execute(f"select try_cast(? as {kind}) is null", [value]).fetchone()
    return row is not None and not row[0]


@lru_cache(maxsize=4096)
def _is_type(kind: str) -> bool:
    try:
        _TABLES.open().execute(f"select cast(null as {kind})")
    except duckdb.Error:
        return False
    return True


def _check_zones(draft: Draft) -> None:
    for node in draft.tree.find_all(exp.AtTimeZone, exp.Anonymous):
        zone = node.args.get("zone")
        if isinstance(node, exp.Anonymous) and node.name.lower() == "timezone":
            zone = node.expressions[0] if len(node.expressions) == 2 else None
        if isinstance(zone, exp.Literal) and zone.is_string:
            try:
                check_zone(zone.this, where=draft.file)
            except SpecError as error:
                raise CompileError(error.what, where=draft.locate(node), mend=error.mend) from None
