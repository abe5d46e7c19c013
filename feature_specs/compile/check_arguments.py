"""What callers hand to the compiler, checked and made uniform before any pass reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta

from sqlglot import Dialect, Dialects, exp
from sqlglot.errors import ParseError

from feature_specs.compile.sql.ask_duckdb import syntax_error
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.sql.relation_names import name_key
from feature_specs.durations import parse_duration
from feature_specs.errors import SpecError, did_you_mean
from feature_specs.instants import microseconds
from feature_specs.leaf import Changelog, Leaf, leaf_key
from feature_specs.names import fold_name
from feature_specs.view import FeatureView


def check_dialect(dialect: str) -> None:
    """Raises SpecError where SQLGlot knows no dialect of that name."""
    try:
        Dialect.get_or_raise(dialect)
    except ValueError:
        known = [d.value for d in Dialects if d.value]
        raise SpecError(
            f"dialect {dialect!r} is not known", where="dialect", hint=did_you_mean(dialect, known)
        ) from None


def instant_literal(at: datetime) -> exp.Expr:
    """An instant as SQL. Raises SpecError where it is not a datetime with a zone."""
    if not isinstance(at, datetime):
        raise SpecError(
            f"the instant is {at!r}, which is not a datetime",
            where="as_of",
            hint="give an aware datetime, as in datetime(2024, 1, 1, tzinfo=UTC)",
        )
    if at.tzinfo is None:
        raise SpecError(
            "the instant has no time zone", where=str(at), hint="give an aware datetime in UTC"
        )
    return exp.cast(exp.Literal.string(at.isoformat()), "timestamptz")


def lag_us(lag: timedelta | str | None) -> str:
    """SQL of a lag in microseconds. Raises SpecError where it is not a duration, or is negative."""
    if isinstance(lag, str):
        lag = parse_duration(lag, where="lag", example="15 minutes")
    if lag is not None and not isinstance(lag, timedelta):
        raise SpecError(
            f"{lag!r} is not a duration",
            where="lag",
            hint="give a timedelta, or text such as '15 minutes'",
        )
    behind = microseconds(lag or timedelta())
    if behind < 0:
        raise SpecError(
            f"lag is {lag}, so features would be read from after the instant asked",
            where="lag",
            hint="give a lag of 0 or more",
        )
    return str(behind)


def spine_sql(spine: str) -> str:
    """The spine's SQL. Raises SpecError where it is not one relation without a name of its own."""
    # Two places where a relation may stand: in the other one no comma, SELECT or WHERE is read.
    error = syntax_error(f"from {spine} as source\n; from ({spine} as source cross join x)")
    if error:
        raise SpecError(
            f"the spine is {spine!r}, which is not a relation",
            where="spine",
            hint='give a table\'s name, quoted as SQL has it ("odd ""name"""), '
            "or a query in parentheses",
        )
    return spine


def lower_names(view: FeatureView) -> FeatureView:
    """The view with its names in lower case, as DuckDB compares them."""
    return replace(
        view,
        entities=tuple(fold_name(e) for e in view.entities),
        event_time=fold_name(view.event_time) if view.event_time else None,
        tie_break=tuple(fold_name(t) for t in view.tie_break),
    )


def leaves_by_name(leaves: Sequence[Leaf], dialect: str, file: str) -> dict[str, Leaf]:
    """The leaves in lower case, with DuckDB's types.

    Raises:
        SpecError: two leaves of one name are declared differently: no one can say which counts.
    """
    known: dict[str, Leaf] = {}
    for leaf in leaves:
        lowered = _lower_leaf(leaf, dialect)
        other = known.setdefault(leaf_key(leaf.name), lowered)
        differ = _differences(other, lowered)
        if name_key(other.name) != name_key(leaf.name):
            raise SpecError(
                f"leaves {other.name!r} and {leaf.name!r} come out under one name, "
                f"{leaf_key(leaf.name)}",
                where=file,
                hint="rename one of the tables, or read it under a view of another name",
            )
        if differ:
            raise SpecError(
                f"leaf {leaf.name!r} is declared twice, and differently in {', '.join(differ)}: "
                f"{_described(other)} and {_described(lowered)}",
                where=leaf.where or other.where or file,
                hint="declare it once",
            )
    return {leaf.name: leaf for leaf in known.values()}


def agreed_leaves(views: Mapping[str, Sequence[Leaf]]) -> tuple[Leaf, ...]:
    """The leaves of several views, each once, with all the columns that any view knows.

    Args:
        views: a view's name to its leaves.

    Raises:
        SpecError: two views hold one leaf to different declarations.
    """
    known: dict[str, tuple[str, Leaf]] = {}
    for view, leaves in views.items():
        for leaf in leaves:
            first, other = known.setdefault(leaf_key(leaf.name), (view, leaf))
            differ = _differences(other, leaf, whole=False)
            if differ:
                raise SpecError(
                    f"leaf {leaf.name!r} is declared differently in {', '.join(differ)}: view "
                    f"{first!r} has it as {_described(other)}, view {view!r} as {_described(leaf)}",
                    where=leaf.where or other.where or "service",
                    hint="declare it once, and compile both views with that",
                )
            together = replace(other, columns={**other.columns, **leaf.columns})
            known[leaf_key(leaf.name)] = (first, together)
    return tuple(leaf for _, leaf in known.values())


def _differences(one: Leaf, other: Leaf, *, whole: bool = True) -> list[str]:
    """Fields in which two declarations differ.

    Args:
        whole: a column that only one of them has is a difference too.
    """
    names = [f.name for f in fields(Leaf) if f.compare and f.name not in ("name", "columns")]
    differ = [n for n in names if getattr(one, n) != getattr(other, n)]
    if name_key(one.name) != name_key(other.name):
        differ.append("name")
    both = one.columns.keys() & other.columns.keys()
    types = any(one.columns[c].upper() != other.columns[c].upper() for c in both)
    if types or (whole and one.columns.keys() != other.columns.keys()):
        differ.append("columns")
    return differ


def _described(leaf: Leaf) -> str:
    times = [leaf.event_time, leaf.loaded_at, leaf.valid_from, leaf.valid_to]
    named = ", ".join(t for t in times if t is not None)
    return f"{leaf.role or 'no role'} ({named})" if named else str(leaf.role or "no role")


def _lower_leaf(leaf: Leaf, dialect: str) -> Leaf:
    """Names in lower case; types are DuckDB's.

    A type that DuckDB does not have itself may be one that its user has made.
    """

    def kind(column: str, written: str) -> str:
        if dialect == "duckdb":
            return written
        try:
            return duckdb_sql(exp.DataType.build(written, dialect=dialect))
        except ParseError:
            raise SpecError(
                f"column {column!r} is of type {written!r}, which {dialect} does not have",
                where=leaf.where or f"leaf {leaf.name}",
                hint=f"write a type of {dialect}'s, as the author's SQL does",
            ) from None

    def low(name: str | None) -> str | None:
        return fold_name(name) if name else None

    log = leaf.changelog
    return replace(
        leaf,
        columns={fold_name(c): kind(c, t) for c, t in leaf.columns.items()},
        event_time=low(leaf.event_time),
        loaded_at=low(leaf.loaded_at),
        valid_from=low(leaf.valid_from),
        valid_to=low(leaf.valid_to),
        known_later={fold_name(c): fold_name(k) for c, k in leaf.known_later.items()},
        changelog=Changelog(tuple(fold_name(k) for k in log.key), fold_name(log.deleted))
        if log
        else None,
    )
