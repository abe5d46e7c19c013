"""What is known while a view is drawn: its luck, its grid, its leaves so far, and its tags."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar, cast

from tests.prove.grid import Grid, draw_grid, spell
from tests.prove.tables import Family, Kind, Table, draw_table, make_single

T = TypeVar("T")


@dataclass(frozen=True)
class Col:
    """A column in scope: what it is called further out, and how SQL reaches it."""

    name: str
    kind: Kind
    sql: str


@dataclass(frozen=True)
class Rel:
    """Something to select from.

    Attributes:
        text: what stands after FROM.
        keys: entity column to its SQL.
        time: SQL of an instant to hold against the clock, where there is one.
        where: predicates that belong to it.
        order: SQL of columns by which its rows have a total order, or as good as one.
    """

    text: str
    cols: tuple[Col, ...]
    keys: Mapping[str, str]
    time: str | None
    where: tuple[str, ...] = ()

    def of(self, *kinds: Kind) -> list[Col]:
        """The columns of some kinds."""
        return [c for c in self.cols if c.kind in kinds]


@dataclass
class Draw:
    """A view under construction."""

    rng: random.Random
    grid: Grid
    entities: tuple[str, ...] = ("k",)
    lagged: bool = False
    huge: bool = False
    tags: set[str] = field(default_factory=set)
    widths: set[timedelta] = field(default_factory=set)
    tables: dict[str, Table] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    visible: bool = False
    names: int = 0

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def pick(self, *choices: T) -> T:
        return self.rng.choice(choices)

    def weighted(self, choices: Mapping[T, float]) -> T:
        return self.rng.choices(list(choices), list(choices.values()))[0]

    def family(self, **weights: float) -> Family:
        """A family of leaves."""
        return cast(Family, self.weighted(weights))

    def tag(self, *names: str) -> None:
        self.tags.update(names)

    def name(self, prefix: str = "v") -> str:
        """A name that nothing else in the view has."""
        self.names += 1
        return f"{prefix}{self.names}"

    def table(self, family: Family, *, untied: bool = False, single: bool = False) -> Table:
        """A new leaf of a family."""
        drawn = draw_table(self.rng, family, list(self.tables))
        if single:
            drawn = make_single(drawn)
        drawn = replace(drawn, untied=untied, huge=self.huge and family == "stream")
        self.tables[drawn.leaf.name] = drawn
        self.tag(f"role:{drawn.role}")
        return drawn

    def clock(self) -> str:
        """The clock in a window; with a lag it must not read like the clock at reading."""
        if self.lagged:
            return "current_timestamp"
        return self.pick("current_timestamp", "current_timestamp", "now()")

    def reading_clock(self) -> str:
        """The clock in a read-time expression."""
        return "now()" if self.lagged else self.clock()

    def width(self) -> timedelta:
        """A window's width, which the spine will ask at the edges of."""
        width = self.grid.width(self.rng)
        self.widths.add(width)
        return width

    def interval(self, width: timedelta | None = None) -> str:
        return spell(self.rng, width or self.width())


def scan(draw: Draw, table: Table, alias: str | None = None, *, staged: float = 0.12) -> Rel:
    """A leaf in FROM, perhaps under an alias.

    Args:
        staged: how likely it is read by way of a model, which the compiler inlines.
    """
    name, computed = table.leaf.name, []
    if draw.chance(staged):
        draw.tag("construct:inlined model")
        kept = draw.pick("", " where k is not null")
        computed = _computed(draw, table) if draw.chance(0.7) else []
        listed = [
            draw.pick("*", ", ".join(table.kinds)),
            *(f"{c.sql} as {c.name}" for c in computed),
        ]
        if alias and draw.chance(0.5):
            draw.tag("construct:derived table")
            name = f"(select {', '.join([*table.kinds, *listed[1:]])} from {name}{kept})"
        else:
            draw.models[f"stg_{name}"] = f"select {', '.join(listed)} from {name}{kept}"
            name = f"stg_{name}"
    at = f"{alias}." if alias else ""
    text = f"{name} {draw.pick('as ', '')}{alias}" if alias else name
    own = {**table.kinds, **{c.name: c.kind for c in computed}}
    cols = tuple(Col(c, kind, at + c) for c, kind in own.items() if c not in ("k", "j", "id"))
    keys = {k: at + k for k in ("k", "j") if k in table.leaf.columns}
    return Rel(text, cols, keys, time_of(table, at))


def _computed(draw: Draw, table: Table) -> list[Col]:
    """Columns that a model adds: none of them is null where its row is not there."""
    draw.tag("construct:computed column")
    whole = draw.pick(*(c for c, kind in table.kinds.items() if kind == "int"))
    made: list[tuple[Kind, str]] = [
        ("int", "1"),
        ("int", f"coalesce({whole}, 7)"),
        ("int", f"case when {whole} is null then 5 else {whole} end"),
        ("dec", f"coalesce({whole}, 0.5)"),
        ("dec", f"{whole} * 1.25"),
        ("bool", f"{whole} is null"),
        ("str", "coalesce(k, 'none')"),
    ]
    return [Col(draw.name("c"), kind, sql) for kind, sql in draw.rng.sample(made, 2)]


def time_of(table: Table, at: str = "") -> str | None:
    """SQL of the instant of a table's rows."""
    leaf = table.leaf
    when = leaf.event_time or leaf.valid_from
    if when is None or table.family == "days":
        return None
    if leaf.timezone is not None:
        return f"({at}{when} at time zone '{leaf.timezone}')"
    return at + when


def new_draw(rng: random.Random) -> Draw:
    """Luck for the things that are drawn before the query."""
    draw = Draw(rng, draw_grid(rng))
    draw.entities = draw.weighted({("k",): 8, ("k", "j"): 2, ("j",): 0.5})
    draw.lagged = draw.chance(0.08)
    if draw.chance(0.2):
        draw.options["boundary"] = "exclusive"
    return draw


Builder = Callable[[Draw], str]
