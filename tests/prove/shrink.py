"""Shrink a failing case: leave out what it does not need, as long as it fails in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from feature_specs import FeatureView
from tests.prove.case import Case
from tests.prove.check import Outcome, check
from tests.prove.engines import Engines

T = TypeVar("T")
_SECONDS = 60.0


def shrink(case: Case, outcome: Outcome, seconds: float = _SECONDS) -> tuple[Case, Outcome]:
    """The smallest case found in the time given, and how it fails."""
    return _Shrinker(case, outcome, time.monotonic() + seconds).run()


class _Shrinker:
    def __init__(self, case: Case, outcome: Outcome, deadline: float) -> None:
        self.case, self.outcome, self.deadline = case, outcome, deadline
        self.engines = Engines()

    def run(self) -> tuple[Case, Outcome]:
        size = -1
        while size != _size(self.case) and time.monotonic() < self.deadline:
            size = _size(self.case)
            self._spine()
            for leaf in self.case.leaves:
                self._rows(leaf.name)
            self._options()
            self._query()
            self._leaves()
        return self.case, self.outcome

    def _try(self, candidate: Case) -> bool:
        """Keep a candidate that fails as the case does."""
        if time.monotonic() > self.deadline:
            return False
        outcome = check(candidate, self.engines, self.outcome.variant)
        if "InternalException" in outcome.kind:
            self.engines = Engines()
        if outcome.status != "failed" or _manner(outcome) != _manner(self.outcome):
            return False
        self.case, self.outcome = candidate, outcome
        return True

    def _spine(self) -> None:
        _reduce(self.case.spine, lambda rows: self._try(replace(self.case, spine=rows)))

    def _rows(self, name: str) -> None:
        def attempt(rows: Sequence[tuple[object, ...]]) -> bool:
            return self._try(replace(self.case, tables={**self.case.tables, name: rows}))

        _reduce(self.case.tables[name], attempt)

    def _options(self) -> None:
        """Do without lag, ttl, boundary and tie_break."""
        if self.case.lag:
            self._try(replace(self.case, lag=self.case.lag * 0))
        plainer: tuple[Callable[[FeatureView], FeatureView], ...] = (
            lambda view: replace(view, ttl=None),
            lambda view: replace(view, boundary="inclusive"),
            lambda view: replace(view, tie_break=()),
        )
        for change in plainer:
            view = change(self.case.view)
            if view != self.case.view:
                self._try(replace(self.case, view=view))

    def _query(self) -> None:
        changed = True
        while changed and time.monotonic() < self.deadline:
            changed = any(
                self._try(replace(self.case, view=replace(self.case.view, sql=sql)))
                for sql in _smaller(self.case)
            )

    def _leaves(self) -> None:
        read = {
            t.name
            for t in sqlglot.parse_one(self.case.view.sql, dialect="duckdb").find_all(exp.Table)
        }
        read |= {
            t.name
            for sql in self.case.view.models.values()
            for t in sqlglot.parse_one(sql, dialect="duckdb").find_all(exp.Table)
        }
        kept = tuple(leaf for leaf in self.case.leaves if leaf.name in read)
        if len(kept) < len(self.case.leaves):
            tables = {leaf.name: self.case.tables[leaf.name] for leaf in kept}
            self._try(replace(self.case, leaves=kept, tables=tables))


def _manner(outcome: Outcome) -> str:
    """In what way a case fails; an engine's message may change as the case shrinks."""
    return outcome.kind[:60]


def _size(case: Case) -> int:
    return len(case.view.sql) + len(case.spine) + sum(map(len, case.tables.values()))


def _reduce(items: Sequence[T], attempt: Callable[[Sequence[T]], bool]) -> None:
    """Leave out ever smaller stretches of a list (delta debugging)."""
    kept, chunk = list(items), max(1, len(items) // 2)
    while chunk:
        at = 0
        while at < len(kept):
            fewer = kept[:at] + kept[at + chunk :]
            if attempt(fewer):
                kept = fewer
            else:
                at += chunk
        chunk //= 2


def _smaller(case: Case) -> Iterator[str]:
    """The query with one thing left out, greatest things first."""
    try:
        tree = sqlglot.parse_one(case.view.sql, dialect="duckdb")
    except SqlglotError:
        return
    places = [node for node in tree.walk() if isinstance(node, _LEFT_OUT)]
    for index, place in enumerate(places):
        copy = tree.copy()
        node = [n for n in copy.walk() if isinstance(n, _LEFT_OUT)][index]
        for text in _without(copy, node, case):
            if len(text) < len(case.view.sql) or place is not tree:
                yield text


_LEFT_OUT = (
    exp.Select, exp.Join, exp.Where, exp.Having, exp.Qualify, exp.And, exp.Or, exp.Filter,
    exp.CTE, exp.Union, exp.Coalesce, exp.Paren,
)  # fmt: skip


def _without(tree: exp.Expr, node: exp.Expr, case: Case) -> Iterator[str]:
    def text(changed: exp.Expr) -> str:
        return changed.sql(dialect="duckdb")

    match node:
        case exp.Select():
            needed = {*case.view.entities, case.view.event_time, *case.view.tie_break}
            for item in list(node.selects):
                if item.alias_or_name not in needed and len(node.selects) > 1:
                    items = list(node.selects)
                    node.set("expressions", [other for other in items if other is not item])
                    yield text(tree)
                    node.set("expressions", items)
        case exp.Join() | exp.Where() | exp.Having() | exp.Qualify():
            node.pop()
            yield text(tree)
        case exp.CTE():
            with_ = node.parent
            assert isinstance(with_, exp.With)
            (node if len(with_.expressions) > 1 else with_).pop()
            yield text(tree)
        case exp.And() | exp.Or() | exp.Union() if node.parent is not None:
            parent: exp.Expr = node.parent
            kept: exp.Expr = node
            for side in (node.this.copy(), node.expression.copy()):
                kept.replace(side)
                yield text(tree)
                kept = side
            assert parent is not None
        case exp.Union():
            yield text(node.this)
            yield text(node.expression)
        case exp.Filter() | exp.Coalesce() | exp.Paren():
            if node.parent is not None and not isinstance(node.this, exp.Query):
                node.replace(node.this.copy())
                yield text(tree)
