"""Warn about rows of leaves that are valid but commonly a mistake, and name a key.

Versions that overlap are all visible, and versions that end before they begin never are; a row
without a key is not an entity, and one without a time is never visible. That is what these tables mean,
but whoever made them hardly meant it, so a build says so. What is read is all of a leaf where a
view is computed in full, and what came where it takes a step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
from pyiceberg.manifest import ManifestEntry

from feature_specs.catalog import LeafEntry, ViewEntry
from feature_specs.instants import from_epoch_us
from feature_specs.names import fold_name
from feature_specs.quote import literal, quoted
from lakehouse.data_files.select_rows import select_rows
from lakehouse.duckdb_types import column_types
from lakehouse.scan import Pinned

#: Runs a statement.
Run = Callable[[str], duckdb.DuckDBPyConnection]


@dataclass(frozen=True)
class Sight:
    """Counts and warnings for a leaf.

    Attributes:
        rows: how many rows there were.
        first, last: when the first and the last of them become visible, microseconds since the
            epoch; None where there are none, or time plays no role.
        warnings: what is commonly a mistake.
        notes: what is left out, as it should be.
    """

    leaf: str
    rows: int
    first: int | None = None
    last: int | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def look_at(
    run: Run, view: ViewEntry, leaf: LeafEntry, pinned: Pinned, rows: str | None = None
) -> Sight:
    """Count a leaf's rows and likely mistakes, with an example of each.

    Args:
        rows: SQL of the rows that are read; None for all.
    """
    types = {fold_name(n): kind for n, kind in column_types(pinned.table.schema()).items()}
    keys = [c.name for c in view.entities if fold_name(c.name) in types]
    joins = view.joined.get(leaf.name, ()) if leaf.role == "static" else ()
    question = _Question(leaf, types, keys, f"({rows or pinned.sql}) as looked_at", joins)
    if rows is not None:
        return _answer(run, question)
    asked = f"{question.sql()} {joins}"
    if asked not in pinned.sights:
        pinned.sights[asked] = _answer(run, question)
    seen = pinned.sights[asked]
    assert isinstance(seen, Sight)
    return seen


def look_at_leaves(
    run: Run,
    view: ViewEntry,
    leaves: Mapping[str, LeafEntry],
    pinned: Mapping[str, Pinned],
    added: Mapping[str, Sequence[ManifestEntry]] | None = None,
) -> list[Sight]:
    """Look at all leaves of a view.

    Args:
        added: of a step, the files that came; leaves without any are passed over.
    """
    sights = []
    for name in view.leaves:
        if name not in leaves or (added is not None and not added.get(name)):
            continue
        rows = None if added is None else select_rows(pinned[name].table, added[name])
        sights.append(look_at(run, view, leaves[name], pinned[name], rows))
    return sights


def why_no_rows(view: ViewEntry, sights: Sequence[Sight], at: int, clock: str) -> str | None:
    """Why a view has no rows though its leaves have; None where they have none.

    Args:
        at: the run's clock, microseconds since the epoch.
        clock: where it came from, such as ``var forebay_now``.
    """
    seen = [s for s in sights if s.rows]
    if not seen:
        return None
    now = f"the run's clock is {_instant(at)}, from {clock}"
    timed = [s for s in seen if s.first is not None and s.last is not None]
    late = [s for s in timed if s.first is not None and s.first > at]
    if late:
        first = late[0]
        return (
            f"{view.name} has no rows: all {first.rows:,} rows of {first.leaf} become visible "
            f"after the clock, the first at {_instant(first.first)}; {now}"
        )
    if timed:
        last = max(timed, key=lambda s: s.last or 0)
        return (
            f"{view.name} has no rows, though {last.leaf} has {last.rows:,}, the last of which "
            f"became visible at {_instant(last.last)}: its windows and filters leave none; {now}"
        )
    return (
        f"{view.name} has no rows, though {seen[0].leaf} has {seen[0].rows:,}: its joins and "
        f"filters leave none; {now}"
    )


def _instant(us: int | None) -> str:
    try:
        return from_epoch_us(us or 0).isoformat()
    except OverflowError:
        return "the end of time"


@dataclass(frozen=True)
class _Question:
    leaf: LeafEntry
    types: Mapping[str, str]
    keys: Sequence[str]
    source: str
    joins: Sequence[Sequence[str]] = ()

    @property
    def name(self) -> str:
        """The leaf's name for messages."""
        return self.leaf.name.replace('"', "")

    def sql(self) -> str:
        """One row: rows, the first and the last instant, and a count of each kind."""
        times = [self.instant(role) for role in ("event_time", "loaded_at", "valid_from")]
        held = [t for t in times if t is not None]
        visible = f"greatest({', '.join(held)})" if held else None
        # Null and infinite times are not instants; rows with a null are never visible.
        where = " and ".join(f"isfinite({t})" for t in held)
        bounds = (
            [f"epoch_us({end}({visible}) filter (where {where}))" for end in ("min", "max")]
            if visible
            else ["null", "null"]
        )
        counted = [f"count(*) filter (where {test})" for _, test in self.counts()]
        return f"select {', '.join(['count(*)', *bounds, *counted])} from {self.source}"

    def counts(self) -> list[tuple[str, str]]:
        """What is counted: a label and a condition on a row."""
        counts = [(f"null in key {k!r}", f"{quoted(k)} is null") for k in self.keys]
        for role in ("event_time", "loaded_at", "valid_from"):
            column = self.leaf.times.get(role)
            if column is not None:
                counts.append((f"null in {role} {column!r}", f"{quoted(column)} is null"))
        return counts

    def instant(self, role: str) -> str | None:
        """SQL of a time column as an instant; None where the leaf has no such role."""
        column = self.leaf.times.get(role)
        if column is None:
            return None
        name, zone = quoted(column), literal(self.leaf.times.get("timezone", "UTC"))
        match self.types.get(fold_name(column)):
            case "DATE":
                end = " + 1" if self.leaf.times.get("date_visible") == "end" else ""
                return f"(cast({name}{end} as timestamp) at time zone {zone})"
            case "TIMESTAMP":
                return f"({name} at time zone {zone})"
        return name

    @property
    def too_early(self) -> str:
        """When a version ends that is never in force, in words before "they begin"."""
        return "before" if self.leaf.times.get("valid_to_inclusive") else "no later than"

    def inverted(self) -> str | None:
        """Condition for versions that end no later than they begin."""
        start, end = self.instant("valid_from"), self.instant("valid_to")
        if start is None or end is None:
            return None
        if self.leaf.times.get("valid_to_inclusive") is None:
            return f"{start} >= {end}"
        first, last = (
            self.types.get(fold_name(self.leaf.times[r])) for r in ("valid_from", "valid_to")
        )
        if last != "DATE":
            return f"{start} > {end}"
        # A date lasts to its day's end, which is where `end` stands if dates count from there.
        moved = self.leaf.times.get("date_visible") == "end" and first != "DATE"
        return f"{start} >= {end}" if moved else f"{start} >= {end} + interval 1 day"

    def still_open(self) -> str | None:
        """Condition for versions that are still open."""
        end = self.instant("valid_to")
        if end is None:
            return None
        sentinel = self.leaf.times.get("valid_to_open")
        also = "" if sentinel is None else f" or {end} = {literal(sentinel)}::timestamptz"
        return f"({end} is null{also}) and {self.instant('valid_from')} is not null"


def _answer(run: Run, question: _Question) -> Sight:
    name = question.name
    (found,) = run(question.sql()).fetchall()
    rows, first, last, *counts = found
    notes = [
        f"{count:,} of {rows:,} rows of {name} have a {text}: such a row is "
        + ("not an entity's" if "key" in text else "never visible")
        for count, (text, _) in zip(counts, question.counts(), strict=True)
        if count
    ]
    warnings = _warnings(run, question)
    for columns in question.joins:
        repeated, few = _repeated(run, question, columns)
        (warnings if few else notes).extend(repeated)
    return Sight(name, rows, first, last, tuple(warnings), tuple(notes))


def _warnings(run: Run, question: _Question) -> list[str]:
    name, warnings = question.name, []
    inverted, still_open = question.inverted(), question.still_open()
    if inverted is not None:
        count, example = _rows(run, question, inverted)
        if count:
            warnings.append(
                f"versions of {name} that end {question.too_early} they begin, and are never "
                f"visible: {count:,}{example}"
            )
    if still_open is not None:
        count, example = _groups(run, question, question.keys, still_open)
        if count:
            warnings.append(
                f"keys of {name} with more than one open version, all of which are "
                f"visible: {count:,}{example}"
            )
    changed = question.instant("event_time")
    if question.leaf.key and changed is not None:
        count, example = _groups(
            run, question, question.leaf.key, f"{changed} is not null", changed
        )
        if count:
            warnings.append(
                f"keys of {name} with several changes at one instant, of which the one "
                f"that became visible last counts, then the greatest by the remaining columns: "
                f"{count:,}{example}"
            )
    return warnings


def _repeated(run: Run, question: _Question, columns: Sequence[str]) -> tuple[Sequence[str], bool]:
    """What to say of keys by which a static leaf is joined and that stand in several rows, and
    whether they are few.

    A table that is looked up in has a row for most keys; where most have several it is commonly
    meant so, as a list of what belongs to a key.
    """
    count, example = _groups(run, question, columns, "true")
    if not count:
        return (), False
    listed = ", ".join(map(quoted, columns))
    ((keys,),) = run(
        f"select count(*) from (select distinct {listed} from {question.source} where "
        + " and ".join(f"{quoted(c)} is not null" for c in columns)
        + ")"
    ).fetchall()
    said = (
        f"{question.name} is joined by {', '.join(columns)}, and keys that stand in several of its "
        f"rows match each of them: {count:,} of {keys:,}{example}"
    )
    return (said,), count * 2 <= int(keys)


def _rows(run: Run, question: _Question, test: str) -> tuple[int, str]:
    shown = _shown(question.keys)
    ((count, example),) = run(
        f"select count(*), any_value({shown}) from {question.source} where {test}"
    ).fetchall()
    return int(count), f"; for example {example}" if example else ""


def _groups(
    run: Run, question: _Question, keys: Sequence[str], test: str, also: str | None = None
) -> tuple[int, str]:
    if not keys:
        return 0, ""
    names = ", ".join([*map(quoted, keys), *([also] if also else [])])
    there = " and ".join([f"({test})", *(f"{quoted(k)} is not null" for k in keys)])
    ((count, example),) = run(
        f"select count(*), any_value(shown) from (select {_shown(keys)} as shown "
        f"from {question.source} where {there} group by {names}, {_shown(keys)} "
        "having count(*) > 1)"
    ).fetchall()
    return int(count), f"; for example {example}" if example else ""


def _shown(keys: Sequence[str]) -> str:
    """SQL that writes a key as text for messages."""
    if not keys:
        return "cast(null as varchar)"
    parts = (
        f"{literal(f'{k} = ')} || coalesce(cast({quoted(k)} as varchar), 'null')" for k in keys
    )
    return " || ', ' || ".join(parts)
