"""A feature view and a feature service, as their authors declare them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from feature_specs.errors import SpecError
from feature_specs.names import fold_name, is_reserved

Boundary = Literal["inclusive", "exclusive"]

#: Letters, digits and underscores: a name begins other names, in SQL and in URLs. A dot stands in
#: the number of a model's version.
_PLAIN_NAME = re.compile(r"\w+(\.\w+)*")


@dataclass(frozen=True)
class FeatureView:
    """One query that says what the features of an entity are now.

    Args:
        name: the view's name; features of several views are named ``view__feature``.
        sql: the author's query, over the names of its leaves or inlined models.
        entities: the key columns, in the order in which keys are written.
        event_time: the output column that makes this a history view; None for an as-of view.
        ttl: how long a history view's row counts, inclusive, at the instant asked.
        boundary: whether a row counts at its own event_time (inclusive) or just after.
        tie_break: columns whose greatest value wins among rows of one event_time.
        file: where the SQL stands, for error messages.
        models: SQL of the models that the query reads, by the name it uses for them.
    """

    name: str
    sql: str
    entities: Sequence[str]
    event_time: str | None = field(default=None, kw_only=True)
    ttl: timedelta | None = field(default=None, kw_only=True)
    boundary: Boundary = field(default="inclusive", kw_only=True)
    tie_break: Sequence[str] = field(default=(), kw_only=True)
    file: str | None = field(default=None, kw_only=True)
    models: Mapping[str, str] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        where = self.file or f"view {self.name}"
        if not _PLAIN_NAME.fullmatch(self.name):
            raise SpecError(
                f"a feature view is named {self.name!r}, which is not a plain name",
                where=where,
                hint="write letters, digits and underscores",
            )
        taken = next((n for n in (self.name, *self.entities) if is_reserved(n)), None)
        if taken is not None:
            kind = "feature view" if taken == self.name else "entity"
            raise SpecError(
                f"{kind} {taken!r} begins like forebay's own names (fb_..., forebay_...)",
                where=where,
                hint="give it another name",
            )
        if not self.entities:
            raise SpecError(
                "no entity is declared", where=where, hint="name the key columns under entities"
            )
        lowered = [fold_name(e) for e in self.entities]
        twice = next((e for e in lowered if lowered.count(e) > 1), None)
        if twice is not None:
            raise SpecError(f"entity {twice!r} is named twice", where=where, hint="name it once")
        self._check_ttl(where)
        if self.ttl is not None and self.event_time is None:
            raise SpecError(
                "ttl stands on a view without event_time",
                where=where,
                hint="an as-of view has no ttl: bound its windows in SQL, or declare event_time",
            )
        if self.boundary not in ("inclusive", "exclusive"):
            raise SpecError(
                f"boundary is {self.boundary!r}", where=where, hint="write inclusive or exclusive"
            )

    def _check_ttl(self, where: str) -> None:
        said: object = self.ttl
        if said is not None and not isinstance(said, timedelta):
            raise SpecError(
                f"ttl is {said!r}, which is not a timedelta",
                where=where,
                hint="write timedelta(days=7)",
            )
        if self.ttl is not None and self.ttl < timedelta():
            raise SpecError(
                f"ttl is {self.ttl}, so no row would ever count",
                where=where,
                hint="write a ttl of 0 or more",
            )


@dataclass(frozen=True)
class FeatureReference:
    """One feature of one view.

    Attributes:
        own_name: where ``feature`` is an alias, the name that the view's query has; else empty.
    """

    view: str
    feature: str
    own_name: str = ""

    @property
    def column(self) -> str:
        """The feature's name wherever several views meet."""
        return f"{self.view}__{self.feature}"
