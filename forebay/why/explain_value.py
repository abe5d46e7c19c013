"""Where one feature's value comes from: offline, online, or as it was served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

import duckdb

from feature_specs.catalog import Catalog, LeafEntry, ViewEntry
from feature_specs.compile.variants.find_candidates import find_candidates
from feature_specs.errors import UnknownNameError, did_you_mean
from feature_specs.instants import epoch_us, from_epoch_us
from feature_specs.names import fold_name
from feature_specs.view import FeatureReference
from forebay.compilation.compile_project import Compiled, compile_project
from forebay.dbt_project.project import Project
from forebay.own_team import check_readable
from forebay.preview import define_asked, given_values
from forebay.why.measure_parts import Candidates, Parts, by_relation, measure_parts
from forebay.why.past_answers import Answer, online_answer, served_answer
from lakehouse.lake import load_table, open_lake
from lakehouse.relations import connect, define_relations
from lakehouse.scan import Pinned, pin
from serving.verify import near_value

Origin: TypeAlias = Literal["offline", "online", "served"]
_ASKED = "forebay_asked"
_AT = "forebay_asked_at"


@dataclass(frozen=True)
class SourceTable:
    """A table under a view, at the snapshot that was read.

    Attributes:
        committed: when that snapshot was; None of an empty table.
    """

    table: str
    relation: str
    snapshot: int | None
    committed: datetime | None


@dataclass(frozen=True)
class Why:
    """A value and what it comes from.

    Attributes:
        feature: ``view.feature``; of a role, the view behind it.
        at: the instant of the vector; loaded_at: T of the rows, before it where an answer had an age.
        told: what the online store answers, or what was served; of an offline value the same.
        agrees: whether that is what the rows come to.
        note: why the tables are not those that the answer was made of; mostly empty.
        sql: the author's text, from ``file``.
    """

    feature: str
    service: str | None
    key: Mapping[str, str]
    origin: Origin
    at: datetime
    loaded_at: datetime
    told: Any
    parts: Parts
    tables: tuple[SourceTable, ...]
    file: str
    sql: str
    note: str = ""

    @property
    def agrees(self) -> bool:
        return near_value(self.parts.value, self.told)

    def rows_of(self, table: SourceTable) -> Sequence[Any]:
        """The parts that are rows of a table."""
        return by_relation(self.parts.parts).get(table.relation, [])


def explain_value(
    project: Project,
    name: str,
    keys: Sequence[str],
    at: datetime,
    *,
    requests: Sequence[str] = (),
    origin: Origin = "offline",
    most: int = 1_000,
    secret: bytes | None = None,
) -> Why:
    """Find the source rows behind one value, and the part of each.

    Args:
        name: SERVICE.FEATURE or VIEW.FEATURE.
        keys, requests: texts ``NAME=VALUE``.
        at: of what was served, the last answer up to then.
        most: how many rows are taken away at the most, to see what the value is without each.
        secret: that keys were hashed under, where servers hash them.

    Raises:
        UnknownNameError: there is no such service, view, feature or key.
        ForbiddenError: the view is private to another group.
        ForebayError: it is not built, synced or served, or a table cannot be read.
    """
    compiled = compile_project(project, write=False, keep_going=True)
    catalog = compiled.catalog
    service, view, feature = find_feature(catalog, name)
    check_readable(project, catalog, [view])
    shown = catalog.readable[view]
    entry = catalog.view(catalog.view_behind(view))
    given = given_values(view, keys, shown.entities, "--key")
    sent = {} if origin == "served" else given_values(view, requests, shown.requests, "--request")
    key = {c.name: given[fold_name(c.name)] for c in shown.entities}
    answer = _answer(catalog, view, feature, key, sent, at, origin, secret)
    pinned, note = _pinned(catalog, entry, answer)
    # From here on by the view's own names; a role has the same entities in the same order.
    # What the feature does not read is not logged with it, and may be null.
    own = {n: answer.request.get(n) for n in (fold_name(c.name) for c in entry.requests)}
    own |= {fold_name(c.name): v for c, v in zip(entry.entities, key.values(), strict=True)}
    connection = connect(catalog)
    define_relations(connection, pinned)
    define_asked(connection, entry, own, answer.at)
    parts = _parts(connection, compiled, entry, feature, answer, most)
    node = compiled.manifest.nodes[entry.unique_id]
    return Why(
        feature=f"{entry.name}.{feature}",
        service=service,
        key=key,
        origin=origin,
        at=answer.at,
        loaded_at=answer.loaded_at,
        told=parts.value if origin == "offline" else answer.value,
        parts=parts,
        tables=tuple(_table(catalog.leaves[n], pinned) for n in entry.leaves),
        file=entry.file,
        sql=str(node.get("raw_code") or "").strip(),
        note=note,
    )


def find_feature(catalog: Catalog, name: str) -> tuple[str | None, str, str]:
    """The service, if one is named, the view or role, and the feature.

    Raises:
        UnknownNameError: there is none of that name; names the closest.
    """
    owner, dot, wanted = name.partition(".")
    if not dot:
        raise UnknownNameError(
            f"{name!r} is not a feature", where="NAME", hint="write SERVICE.FEATURE or VIEW.FEATURE"
        )
    services = {fold_name(n): s for n, s in catalog.services.items()}
    views = {fold_name(n): v for n, v in catalog.readable.items()}
    if fold_name(owner) in services:
        service = services[fold_name(owner)]
        found = [
            (view, feature)
            for view, feature in service.features
            if fold_name(wanted)
            in (fold_name(feature), fold_name(FeatureReference(view, feature).column))
        ]
        if len(found) == 1:
            return service.name, *found[0]
        known = [FeatureReference(*pair).column for pair in found or service.features]
        several = f"{len(found)} features of service {service.name!r} are named {wanted!r}"
        raise UnknownNameError(
            several if found else f"service {service.name!r} has no feature {wanted!r}",
            where=name,
            hint=f"one of {', '.join(f'{service.name}.{n}' for n in known)}"
            if found
            else did_you_mean(wanted, known),
        )
    if fold_name(owner) in views:
        view = views[fold_name(owner)]
        return None, view.name, view.feature(wanted).name
    raise UnknownNameError(
        f"there is no service or feature view {owner!r}",
        where="NAME",
        hint=did_you_mean(owner, [*catalog.services, *catalog.readable]),
    )


def _answer(
    catalog: Catalog,
    view: str,
    feature: str,
    key: Mapping[str, str],
    sent: Mapping[str, str],
    at: datetime,
    origin: Origin,
    secret: bytes | None,
) -> Answer:
    if origin == "online":
        return online_answer(catalog, view, feature, key, sent, at)
    if origin == "served":
        return served_answer(catalog, view, feature, key, at, secret)
    return Answer(at, at, None, sent)


def _pinned(catalog: Catalog, entry: ViewEntry, answer: Answer) -> tuple[dict[str, Pinned], str]:
    """The leaves as the answer's rows were computed from them; else as they stand, and why."""
    lake, pinned, note = open_lake(catalog.lake), {}, ""
    for name in entry.leaves:
        leaf = catalog.leaves[name]
        table = load_table(lake, leaf.table)
        pinned[leaf.relation] = pin(table)
        if answer.leaves is None:
            continue
        snapshot = answer.leaves.get(name)
        if snapshot is None or table.snapshot_by_id(snapshot) is not None:
            pinned[leaf.relation] = Pinned(table, snapshot)
        else:
            note = f"snapshot {snapshot} of {leaf.table} has expired: its rows of now are shown"
    if answer.leaves is None and answer.loaded_at != answer.at:
        at = answer.loaded_at.isoformat()
        note = f"which snapshots the rows of {at} were computed from is not known: rows of now are shown"
    return pinned, note


def _parts(
    connection: duckdb.DuckDBPyConnection,
    compiled: Compiled,
    entry: ViewEntry,
    feature: str,
    answer: Answer,
    most: int,
) -> Parts:
    view = compiled.view(entry.name)
    lag: timedelta | None = answer.at - answer.loaded_at or None
    past = lag is not None or view.has_past
    statement = view.point_in_time(_ASKED, _AT, lag=lag) if past else view.at_present(_ASKED, _AT)
    moment = f"make_timestamptz({epoch_us(answer.loaded_at)})"
    given = find_candidates(view.draft, _ASKED, moment)
    leaves = {leaf.name: leaf for leaf in view.leaves}
    relations = {name: leaves[name] for name in given}
    return measure_parts(
        connection,
        statement,
        entry.feature(feature).own_name,
        [
            Candidates(name, given[name], leaf.event_time or leaf.valid_from or "")
            for name, leaf in relations.items()
        ],
        most,
    )


def _table(leaf: LeafEntry, pinned: Mapping[str, Pinned]) -> SourceTable:
    found = pinned[leaf.relation]
    known = None if found.snapshot is None else found.table.snapshot_by_id(found.snapshot)
    committed = None if known is None else from_epoch_us(known.timestamp_ms * 1000)
    return SourceTable(leaf.table, leaf.relation, found.snapshot, committed)
