"""Ask DuckDB itself about a compiled view: the last check before any data.

Its statements are tried on tables of one made-up row each. DuckDB's types are the view's. What DuckDB
cannot bind is refused, and so is what fails whatever the rows are: a constant that is not a value of the
type that it is read as, a cast from a type to one that it never becomes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
from sqlglot import exp

from feature_specs.compile.describe.sample_tables import OTHERS, TABLES, is_readable
from feature_specs.compile.draft import Draft
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.sql.time_axis import instant_parameter
from feature_specs.compile.variants.read_features import feature_sql
from feature_specs.errors import CompileError, Location, SpecError, first_line
from feature_specs.quote import quoted
from feature_specs.time_zones import check_zone

_COMPARED = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.In, exp.Between, exp.NullSafeEQ)
_TEXT = ("VARCHAR", "TEXT", "STRING", "CHAR")
#: A constant's cast that DuckDB has yet to compute: what is not there is what it could not read.
_CAST = re.compile(r"(?<!TRY_)CAST\('((?:[^']|'')*)' AS ([A-Z][A-Z_ ]*(?:\([0-9, ]*\))?)\)")
#: Of these a constant may ask for more than anyone wants to wait for: they are bound, not run.
_LONG = (exp.GenerateSeries, exp.Repeat, exp.Pad)
_LONG_NAMES = ("list_resize", "array_resize")
#: A float within a type, apart from names of fields and members of enums.
_FLOAT = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\b(FLOAT|DOUBLE)\b""")
_UNITS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")


@dataclass(frozen=True)
class Described:
    """DuckDB's types of a view's stored columns, keys and event_time too, and of its features."""

    stored: Mapping[str, str]
    features: Mapping[str, str]


def describe_view(draft: Draft, stored: str, beside: Callable[[str], str] | None) -> Described:
    """Types of a view's columns.

    Args:
        stored: SQL of its stored columns.
        beside: gives SQL of its features beside a spine, which is SQL too, where that holds the
            author's query in a form in which DuckDB may not take it.

    Raises:
        CompileError: DuckDB refuses the query or a leaf's type, the query fails in whatever row, or
            a key is a float.
    """
    _check_zones(draft)
    with TABLES.lock:
        for leaf in draft.leaves.values():
            TABLES.make(leaf, draft.file)
        types = _types(draft, _all_columns(draft, stored))
        if _may_misread(draft):
            _check_constants(draft, stored)
        features = {
            f.name: types.pop(f"fb_read{number}") if f.expression is not None else types[f.name]
            for number, f in enumerate(draft.features)
        }
        features |= {n: kind for n, kind in draft.arrays.items() if n in features}
        for key in draft.view.entities:
            if any(_FLOAT.findall(types[key])):
                raise CompileError(
                    f"entity {draft.label(key)!r} is a {types[key]}, and a float cannot be a key",
                    where=Location(draft.file),
                    hint="cast it to an integer, a decimal or text",
                )
        if beside is not None:
            _bind(draft, beside(_spine(draft, types)))
    return Described({**types, **draft.arrays}, features)


def _all_columns(draft: Draft, stored: str) -> str:
    """SQL of the stored columns, and of the features that are computed when read, by number."""
    read = [
        f"{feature_sql(draft, feature, 'stored', instant_parameter('as_of'), None)} as fb_read{number}"
        for number, feature in enumerate(draft.features)
        if feature.expression is not None
    ]
    return f"select {', '.join(['stored.*', *read])} from ({stored}) as stored"


def _spine(draft: Draft, types: Mapping[str, str]) -> str:
    """A spine as SQL, with the instant ``fb_at``."""
    columns = {key: types[key] for key in draft.view.entities}
    columns |= {request.name: request.type for request in draft.requests}
    listed = [f"cast(null as {kind}) as {quoted(name)}" for name, kind in columns.items()]
    return f"(select {', '.join([*listed, 'cast(null as timestamptz) as fb_at'])})"


def _types(draft: Draft, sql: str) -> dict[str, str]:
    if not _is_to_be_run(draft):
        return _bind(draft, sql)
    try:
        return TABLES.run(sql)
    except duckdb.Error as error:
        said = first_line(error)
    types = _bind(draft, sql)
    _check_constants(draft, sql)
    node = _blamed(draft, said)
    if (node is not None or said.startswith(_NEVER)) and _fails_alike(draft, sql, said):
        raise CompileError(
            f"DuckDB can compute this in no row: {said}",
            where=_place(draft, said) if node is None else draft.locate(node.parent),
            hint=_hint(said),
        )
    return types


def _bind(draft: Draft, sql: str) -> dict[str, str]:
    try:
        return TABLES.describe(sql)
    except duckdb.Error as error:
        said = first_line(error)
        raise CompileError(
            f"DuckDB refuses the query: {said}", where=_place(draft, said), hint=_hint(said)
        ) from None


def _blamed(draft: Draft, said: str) -> exp.Expr | None:
    """The constant that an error quotes."""
    for node in draft.tree.find_all(exp.Literal, exp.Var):  # 'day' of date_trunc is a Var
        if isinstance(node, exp.Literal) and not node.is_string:
            continue
        shown = node.name.lower()
        if f"'{shown}'" in said.lower() or f'"{shown}"' in said.lower():
            return node
        if said.lower().endswith(f": {shown}"):
            return node
    return None


def _fails_alike(draft: Draft, sql: str, said: str) -> bool:
    """Whether SQL fails with the same words in rows of other values."""
    for tables in OTHERS:
        with tables.lock:
            for leaf in draft.leaves.values():
                tables.make(leaf, draft.file)
            try:
                tables.run(sql)
            except duckdb.Error as error:
                if first_line(error) == said:
                    continue
        return False
    return True


def _is_to_be_run(draft: Draft) -> bool:
    """Whether something may fail in every row, and nothing asks for more than anyone waits for."""
    nodes = list(draft.tree.walk())
    long = any(
        isinstance(node, _LONG)
        or (isinstance(node, exp.Anonymous) and node.name.lower() in _LONG_NAMES)
        or (isinstance(node, exp.With) and node.recursive)
        for node in nodes
    )
    return not long and any(map(_is_suspected, nodes))


def _is_suspected(node: exp.Expr) -> bool:
    """Whether a node, for all that its types say, may be what it cannot be where it stands."""
    parent = node.parent
    if isinstance(node, exp.Var):
        return node.name.lower() not in _UNITS and not isinstance(parent, exp.Interval)
    if isinstance(node, exp.Literal) and node.is_string:
        return not isinstance(parent, exp.Interval) or not parent.unit
    return isinstance(node, (exp.Cast, exp.DateBin)) or (
        isinstance(node, (exp.Column, exp.Array, exp.Interval))
        and isinstance(parent, (exp.And, exp.Or, exp.Not, exp.Where, exp.Having))
    )


#: What DuckDB says of types and constants without quoting them.
_NEVER = (
    "Conversion Error: Unimplemented type for cast",
    "Invalid Input Error: Argument index",
    "Invalid Input Error: Invalid type specifier",
    "Syntax Error: Invalid escape string",
    "Out of Range Error: Can't bucket using zero",
)
#: What stands in an error to what fixes it; the first that does counts.
_HINTS = {
    "extract specifier": "write a part of an instant that DuckDB knows, such as 'day'",
    "Unimplemented type for cast": "cast it to another type, or compute what you want by a function",
    "escape string": "write a single character behind ESCAPE",
    "bucket using zero": "write a width of more than nothing",
    "Argument index": "write as many {} as there are values",
    "type specifier": "write a format that fits the value's type, such as '{}'",
    "format specifier": "write a format that DuckDB knows, such as '%Y-%m-%d'",
    "Catalog Error": "use a function that DuckDB has without an extension",
    "Binder Error": "cast its arguments to types that it takes, or name columns as alias.column",
    "Conversion Error": "write the constant as a value of the type that it is read as",
}


def _hint(said: str) -> str:
    found = (hint for words, hint in _HINTS.items() if words in said)
    return next(found, "fix the SQL, and check the types of its columns")


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
        isinstance(c.this, exp.Literal) and not is_readable(c.this.this, duckdb_sql(c.to))
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
    for text in _texts(json.loads(TABLES.explain(stored))):
        for found in _CAST.finditer(text):
            value = found[1].replace("''", "'")
            if "CASE" not in text[: found.start()] and not is_readable(value, found[2]):
                literals = draft.tree.find_all(exp.Literal)
                node = next((n for n in literals if n.is_string and n.this == value), None)
                raise CompileError(
                    f"{value!r} is not a valid {found[2]}, and is compared with one or cast to it",
                    where=draft.locate(node.parent if node is not None else None),
                    hint="write a value of that type, or cast the other side to text",
                )


def _texts(plan: Any) -> Iterator[str]:
    if isinstance(plan, str):
        yield plan
    elif isinstance(plan, (dict, list)):
        for part in plan.values() if isinstance(plan, dict) else plan:
            yield from _texts(part)


def _check_zones(draft: Draft) -> None:
    for node in draft.tree.find_all(exp.AtTimeZone, exp.Anonymous):
        zone = node.args.get("zone")
        if isinstance(node, exp.Anonymous) and node.name.lower() == "timezone":
            zone = node.expressions[0] if len(node.expressions) == 2 else None
        if isinstance(zone, exp.Literal) and zone.is_string:
            try:
                check_zone(zone.this, where=draft.file)
            except SpecError as error:
                raise CompileError(error.what, where=draft.locate(node), hint=error.hint) from None
