"""What the passes hand on: a query on its way from the author's text to its interval form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from feature_specs.catalog import Column
from feature_specs.catalog import Expression as ReadTimeTree
from feature_specs.errors import Location
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView


@dataclass(frozen=True)
class Term:
    """An instant, in microseconds: a time-valued expression over source columns plus an offset.

    Attributes:
        on_axis: the expression is itself microseconds, and never null.
    """

    instant: exp.Expr
    offset: int = 0
    on_axis: bool = False


@dataclass(frozen=True)
class Window:
    """When a row counts: from the greatest of ``starts`` up to, not including, the least of ``ends``.

    No start is minus infinity, no end is plus infinity.
    """

    starts: tuple[Term, ...] = ()
    ends: tuple[Term, ...] = ()

    def clip(self, other: Window) -> Window:
        """The intersection of both windows."""
        return Window(
            _strongest(self.starts + other.starts, max), _strongest(self.ends + other.ends, min)
        )

    @property
    def width(self) -> int | None:
        """Microseconds that every row counts for, or None where rows differ.

        Where it is known, rows leave in the order in which they came.
        """
        if len(self.starts) == 1 and len(self.ends) == 1:
            start, end = self.starts[0], self.ends[0]
            if start.instant == end.instant:
                return end.offset - start.offset
        return None

    @property
    def never_ends(self) -> bool:
        """A row that has come never leaves."""
        return not self.ends


def _strongest(terms: tuple[Term, ...], pick: Callable[[int, int], int]) -> tuple[Term, ...]:
    """Of several bounds on one instant, the one that implies the others."""
    offsets: dict[tuple[exp.Expr, bool], int] = {}
    for term in terms:
        place = (term.instant, term.on_axis)
        known = offsets.get(place)
        offsets[place] = term.offset if known is None else pick(known, term.offset)
    return tuple(Term(i, offset, on_axis) for (i, on_axis), offset in offsets.items())


@dataclass(frozen=True)
class Subquery:
    """A CTE: its name and its SELECT; several readers want it computed once."""

    name: str
    sql: str
    shared: bool = True


@dataclass(frozen=True)
class AggregateCall:
    """One aggregate of the query, and when each source row counts in it."""

    name: str
    function: exp.Expr
    condition: exp.Expr | None
    window: Window


@dataclass(frozen=True)
class IntervalForm:
    """The query as rows with lifetimes: a select-project-join over leaves, perhaps aggregated.

    Attributes:
        source: FROM, joins and the clock-free WHERE, without projections.
        keys: the entity's key expressions over the source.
        columns: stored column to its expression: over the source, or, in an aggregate form, over
            keys and columns named like the aggregates.
        window: when a source row counts at all.
        aggregates: the aggregates; empty for a form of plain rows.
        having: over keys and aggregates, like columns.
        event_time: of a history view, over the source.
        tie_break: expressions by which the greatest row of one event_time wins.
        grouped: whether the query aggregates.
        prelude: common table expressions that the source reads.
        unique: no two rows of one entity live at the same instant; proved, not checked.
        rows_per_key: about how many source rows a key has, where the leaves say so.
        visible: of a history, when a row's leaves had all become visible, where a clock in WHERE
            makes it start later than that; ties of its event_time are settled by it.
    """

    source: exp.Select
    keys: tuple[exp.Expr, ...]
    columns: Mapping[str, exp.Expr]
    window: Window
    aggregates: tuple[AggregateCall, ...] = ()
    having: exp.Expr | None = None
    event_time: exp.Expr | None = None
    tie_break: tuple[exp.Expr, ...] = ()
    grouped: bool = False
    prelude: tuple[Subquery, ...] = ()
    unique: bool = False
    rows_per_key: float | None = None
    visible: tuple[Term, ...] = ()

    @property
    def simple(self) -> bool:
        """A select-project-join over leaves as they are."""
        return not self.prelude


@dataclass(frozen=True)
class OutputFeature:
    """A feature: a stored column, or a read-time expression over stored columns."""

    name: str
    expression: exp.Expr | None = None
    tree: ReadTimeTree | None = None


@dataclass(frozen=True)
class Draft:
    """A view under compilation. Each pass returns a further filled copy.

    Attributes:
        tree: the query; leaves appear under the keys of ``leaves``.
        stored: the query without its read-time parts: keys, event_time, stored columns.
        arrays: of each stored column that the author made an array of a fixed size, or of some, its
            type; ``stored`` has lists there.
        form: its interval form; None where it has none, and ``why_no_form`` says why.
        key_types: of each entity the type that it has in the query, where that is sure.
        spelled: of each leaf, under its one-part name, the columns as its table has them, by their
            names in lower case.
        labels: names in lower case to the names that the author wrote.
        named_in_role: of each entity that a spine calls otherwise, its name there.
    """

    view: FeatureView
    dialect: str
    known: Mapping[str, Leaf]
    tree: exp.Expr = field(default_factory=exp.Select)
    leaves: Mapping[str, Leaf] = field(default_factory=dict)
    stored: exp.Query = field(default_factory=exp.Select)
    stored_names: tuple[str, ...] = ()
    features: tuple[OutputFeature, ...] = ()
    requests: tuple[Column, ...] = ()
    arrays: Mapping[str, str] = field(default_factory=dict)
    form: IntervalForm | None = None
    why_no_form: str = ""
    key_types: tuple[exp.DataType | None, ...] = ()
    assumptions: tuple[str, ...] = ()
    spelled: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    named_in_role: Mapping[str, str] = field(default_factory=dict)

    def spine_key(self, entity: str) -> str:
        """The spine's column of an entity."""
        return self.named_in_role.get(entity, entity)

    def label(self, name: str) -> str:
        """A column's name as the author writes it; passes speak of names in lower case."""
        return self.labels.get(name, name)

    @property
    def file(self) -> str:
        return self.view.file or f"view {self.view.name}"

    @property
    def schema(self) -> dict[str, object]:
        """The leaves' columns, as SQLGlot's optimizer takes them: table to column to type."""
        return {name: dict(leaf.columns) for name, leaf in self.leaves.items()}

    def locate(self, node: exp.Expr | None) -> Location:
        """Where in the author's files a node stands, as closely as SQLGlot remembers."""
        for part in node.walk() if node is not None else ():
            place = part._meta
            if place and "line" in place:
                return Location(place.get("file", self.file), place["line"], place.get("col"))
        return Location(self.file)
