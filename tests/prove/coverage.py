"""What a run covered, and the limits that it must keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from feature_specs.compile.lowerings.choose_lowering import LOWERINGS
from tests.prove.check import Outcome
from tests.prove.views.aggregates import AGGREGATES

#: From so many cases on, every category must have been hit.
ENOUGH = 2000
MOST_DECORRELATED = 0.20
LEAST_FILLED = 0.50
#: Views of which a step recomputes what changed alone.
LEAST_STEPPED = 0.80

ROLES = (
    "event", "arrival", "event_only", "known_later", "scd2", "scd2_open", "scd2_history",
    "changelog", "changelog_arrival", "static", "date_start", "date_end", "naive",
)  # fmt: skip
JOINS = (
    "inner", "left", "full", "semi", "anti", "last", "stream", "scd2 as of event",
    "scd2 as of now", "plain predicate in on",
)  # fmt: skip
CONSTRUCTS = (
    "filter", "having", "qualify", "cte", "nested ctes", "cte read twice", "subquery in from",
    "scalar subquery", "correlated scalar subquery", "exists", "not exists", "in", "not in",
    "except", "intersect", "left join where null", "union", "union all", "distinct",
    "distinct on", "group by position", "expression over aggregates", "join of aggregates",
    "ratio of aggregates", "aggregate of an aggregate", "projection of aggregates",
    "latest per key", "last N rows", "rank", "row_number in subquery", "asof join",
    "state without aggregate", "aggregate over versions", "window function", "session windows", "inlined model",
)  # fmt: skip
CLOCKS = (
    "trailing", "open", "closed", "delayed", "band", "calendar", "quantity", "or", "case",
    "in on", "in where", "in subquery", "below a window function",
)  # fmt: skip
WINDOWS = ("lag", "lead", "gap", "running", "rows frame", "range frame", "ranks")
HISTORIES = (
    "projection", "in a window", "join", "last join", "window function", "grouped", "versions",
    "union",
)  # fmt: skip

#: Category to the names that a run of ENOUGH cases must hit. Others may turn up besides.
CATEGORIES: dict[str, tuple[str, ...]] = {
    "lowering": LOWERINGS,
    "aggregate": AGGREGATES,
    "role": ROLES,
    "join": JOINS,
    "construct": CONSTRUCTS,
    "clock": CLOCKS,
    "window": WINDOWS,
    "history": HISTORIES,
    "option": ("boundary", "lag", "ttl", "tie_break"),
    "read": ("recency", "request"),
    "entity": ("k", "k+j", "j"),
    "time": ("minutes", "hours", "days", "months"),
    "data": ("huge floats",),
}


@dataclass
class Coverage:
    """Counts over the outcomes of a run.

    Attributes:
        hits: category to how many cases that agreed hit each name.
        chosen: cases per lowering, or combination of lowerings, that the compiler chose.
        refused: cases per message.
        failed: cases per kind of failure.
        examples: the first case of each refusal and failure.
    """

    cases: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    hits: dict[str, Counter[str]] = field(default_factory=dict)
    chosen: Counter[str] = field(default_factory=Counter)
    shapes: dict[str, Counter[str]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    seconds: Counter[str] = field(default_factory=Counter)
    values: int = 0
    filled: int = 0
    stepped: Counter[bool] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        self.cases += 1
        self.statuses[outcome.status] += 1
        self.values += outcome.values
        self.filled += outcome.filled
        self.seconds.update(outcome.seconds)
        for tag in outcome.tags:
            category, _, name = tag.partition(":")
            if category == "shape":
                self.shapes.setdefault(name, Counter())[self._fate(outcome)] += 1
            elif outcome.status == "agreed":
                self.hits.setdefault(category, Counter())[name] += 1
        if outcome.kind:
            self.examples.setdefault(outcome.kind, outcome.name)
        if outcome.status == "refused":
            self.refused[outcome.kind] += 1
        if outcome.status == "failed":
            self.failed[outcome.kind] += 1
        if outcome.status != "agreed":
            return
        self.chosen[outcome.chosen] += 1
        if outcome.by_key is not None:
            self.stepped[outcome.by_key] += 1
        for lowering in LOWERINGS:
            if lowering in outcome.chosen or lowering in outcome.lowerings:
                self.hits.setdefault("lowering", Counter())[lowering] += 1

    @staticmethod
    def _fate(outcome: Outcome) -> str:
        if outcome.status != "agreed":
            return outcome.status
        return "decorrelated" if "decorrelated" in outcome.chosen else "other"

    @property
    def decorrelated(self) -> float:
        """The share of compiled cases that ended, wholly or in part, in the fallback."""
        fell = sum(n for name, n in self.chosen.items() if "decorrelated" in name)
        return fell / max(1, sum(self.chosen.values()))

    @property
    def by_key(self) -> float:
        """The share of compiled cases that a step brings forward by the keys that changed."""
        return self.stepped[True] / max(1, self.stepped.total())

    @property
    def non_null(self) -> float:
        return self.filled / max(1, self.values)

    def broken(self, *, whole: bool = True) -> list[str]:
        """The limits that were not kept, a sentence each.

        Args:
            whole: whether all kinds of cases were drawn, so that none may be missing.
        """
        found = []
        if whole and self.decorrelated > MOST_DECORRELATED:
            found.append(f"{self.decorrelated:.1%} of the cases ended in decorrelated")
        if whole and self.stepped and self.by_key < LEAST_STEPPED:
            found.append(f"only {self.by_key:.1%} of the cases are stepped by key")
        if whole and self.values and self.non_null < LEAST_FILLED:
            found.append(f"only {self.non_null:.1%} of the expected values are not null")
        if whole and self.cases >= ENOUGH:
            found += [f"{category}: never hit {', '.join(m)}" for category, m in self._missing()]
        return found

    def _missing(self) -> Iterable[tuple[str, list[str]]]:
        for category, names in CATEGORIES.items():
            hit = self.hits.get(category, Counter())
            missing = [n for n in names if not hit[n]]
            if missing:
                yield category, missing

    def to_json(self) -> dict[str, Any]:
        return {
            "cases": self.cases,
            "statuses": dict(self.statuses),
            "decorrelated": round(self.decorrelated, 4),
            "by_key": round(self.by_key, 4),
            "non_null": round(self.non_null, 4),
            "values": self.values,
            "chosen": dict(self.chosen.most_common()),
            "hits": {c: dict(counts.most_common()) for c, counts in sorted(self.hits.items())},
            "shapes": {s: dict(counts) for s, counts in sorted(self.shapes.items())},
            "refused": dict(self.refused.most_common()),
            "failed": dict(self.failed.most_common()),
            "examples": self.examples,
            "seconds": {what: round(s, 1) for what, s in self.seconds.most_common()},
        }
