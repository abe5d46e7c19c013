"""A leaf: a table that a feature view reads, and the role that time plays in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from feature_specs.errors import SpecError, did_you_mean
from feature_specs.names import fold_name
from feature_specs.time_zones import check_zone

Visibility = Literal["arrival", "event", "history"]
Written = Literal["append", "changelog", "mutable"]
Role = Literal["event", "arrival", "history", "changelog", "static"]


def leaf_key(name: str) -> str:
    """A leaf's name as one identifier, under which compiled SQL speaks of it."""
    return re.sub(r"\W+", "_", fold_name(re.sub(r'["`]', "", name))).strip("_")


@dataclass(frozen=True)
class Changelog:
    """How a change-data-capture table says what changed: its key columns and its delete flag."""

    key: tuple[str, ...]
    deleted: str


def read_changelog(said: object, where: str) -> Changelog:
    """A changelog as a mapping says it, in YAML or in Python.

    Raises:
        SpecError: its key columns or its delete flag are missing.
    """
    if not isinstance(said, Mapping) or not said.get("key") or not said.get("deleted"):
        raise SpecError(
            "a changelog has a key and a delete flag",
            where=where,
            hint="write `changelog: {key: [<column>], deleted: <column>}`",
        )
    key = [said["key"]] if isinstance(said["key"], str) else said["key"]
    return Changelog(tuple(map(str, key)), str(said["deleted"]))


@dataclass(frozen=True)
class Leaf:
    """A source, seed, snapshot or time-safe model, with the columns that say when a row counts.

    Args:
        name: how the author's SQL names it; may be dotted.
        columns: column name to SQL type, in the dialect of the author.
        event_time: when the row's fact happened.
        loaded_at: when the row could first have been read, if later than event_time.
        valid_from, valid_to: the bounds of a slowly changing version.
        changelog: key and delete flag of a change-data-capture table (needs event_time); may be
            given as a mapping, as in YAML.
        static: the author's word that the rows never change.
        visibility: ``event`` ignores loaded_at; ``history`` keeps closed versions.
        known_later: column to the column that says when its value became known.
        written: ``append``, ``changelog`` or ``mutable``. Of what is rewritten in place the past
            is lost: it can be read as it stands, but not at the instants of a spine. It needs no
            other role.
        timezone: the zone of naive timestamps among the time columns.
        date_visible: whether a date counts from the day's start or its end.
        valid_to_open: a far-future value of valid_to that means "still open".
        valid_to_inclusive: whether valid_to is the last instant (of a date, the last day) at which
            the version is in force, not the first at which it is not.
        time_safe: the author's word that a model's rows depend on nothing later than themselves.
        rows_per_key: about how many rows a key has, where that is known; it decides nothing but
            which lowering is thought the fastest.

    Raises:
        SpecError: the roles contradict each other or name a column or time zone that is not there.
    """

    name: str
    columns: Mapping[str, str]
    event_time: str | None = field(default=None, kw_only=True)
    loaded_at: str | None = field(default=None, kw_only=True)
    valid_from: str | None = field(default=None, kw_only=True)
    valid_to: str | None = field(default=None, kw_only=True)
    changelog: Changelog | None = field(default=None, kw_only=True)
    static: bool = field(default=False, kw_only=True)
    visibility: Visibility = field(default="arrival", kw_only=True)
    known_later: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    written: Written = field(default="append", kw_only=True)
    timezone: str | None = field(default=None, kw_only=True)
    date_visible: Literal["start", "end"] = field(default="end", kw_only=True)
    valid_to_open: str | None = field(default=None, kw_only=True)
    valid_to_inclusive: bool = field(default=False, kw_only=True)
    time_safe: bool = field(default=False, kw_only=True)
    rows_per_key: float | None = field(default=None, kw_only=True, compare=False)
    where: str | None = field(default=None, kw_only=True, compare=False)

    def __post_init__(self) -> None:
        said: Any = self.changelog
        if isinstance(said, Mapping):
            if set(said) - {"key", "deleted"}:
                self._refuse("a changelog has a key and a delete flag", "give it nothing else")
            found = read_changelog(said, self.where or f"leaf {self.name}")
            object.__setattr__(self, "changelog", found)
        if self.timezone is not None:
            check_zone(self.timezone, where=self.where or f"leaf {self.name}")
        roles = [self.static, self.valid_from is not None, self.event_time is not None]
        if sum(roles) > 1:
            self._refuse(
                "more than one time role is declared",
                "declare one of event_time, valid_from or static",
            )
        if self.valid_to is not None and self.valid_from is None:
            self._refuse("valid_to stands without valid_from", "declare valid_from too")
        if self.valid_to_inclusive and self.valid_to is None:
            self._refuse("valid_to_inclusive stands without valid_to", "declare valid_to too")
        if self.loaded_at is not None and self.event_time is None:
            self._refuse("loaded_at stands without event_time", "declare event_time too")
        if self.changelog is not None and self.event_time is None:
            self._refuse("a changelog needs event_time", "declare when each change happened")
        roles_of = ("event_time", "loaded_at", "valid_from", "valid_to")
        named = [(role, getattr(self, role)) for role in roles_of]
        named += [("known_later", c) for c in (*self.known_later, *self.known_later.values())]
        if self.changelog is not None:
            named += [("changelog", c) for c in (*self.changelog.key, self.changelog.deleted)]
        for role, column in named:
            if column is not None and column not in self.columns:
                self._refuse(
                    f"{role} names column {column!r}, which the table does not have",
                    did_you_mean(column, self.columns),
                )

    @property
    def role(self) -> Role | None:
        """The role of time in this leaf, or None where nothing was declared."""
        if self.static:
            return "static"
        if self.changelog is not None:
            return "changelog"
        if self.valid_from is not None:
            return "history"
        if self.event_time is None:
            # What is rewritten in place shows how things stand, at whatever instant it is read.
            return "static" if self.written == "mutable" else None
        late = self.loaded_at is not None and self.visibility != "event"
        return "arrival" if late else "event"

    def _refuse(self, what: str, hint: str) -> None:
        raise SpecError(what, where=self.where or f"leaf {self.name}", hint=hint)
