"""Training-serving skew: what was served, beside what training has for the same key and instant.

Of each logged vector F(D, t) is computed, as a training set with a label at t has it, over the lake
as it stands now. What differs is computed at T too, the instant of the rows that were served: where
it is F(D, T) the store was right and behind, else it is late rows, or the law is broken.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from feature_specs.catalog import ServiceEntry, ViewEntry
from feature_specs.instants import epoch_us
from feature_specs.library_errors import explain_one, known_errors
from feature_specs.names import fold_name
from feature_specs.quote import quoted
from feature_specs.time_zones import SESSION_AT_UTC
from feature_specs.view import FeatureReference
from forebay.compilation.compile_parts import service_template
from forebay.compilation.compile_project import Compiled, compile_project
from forebay.compilation.current_service import CompiledService
from forebay.dbt_project.project import Project
from forebay.own_team import refusals
from forebay.training.make_set import SetOptions, make_training_set
from forebay.why.explain_differences import Explained, Served, explain_served
from lakehouse.lake import open_lake
from serving.columns import RowEncoder
from serving.key_sql import key_value_sql
from serving.keys import decode_key
from serving.lookup.read import OUTSIDE_MAX_AGE, UNAVAILABLE
from serving.offline import open_feature_table
from serving.served.logged_values import read_request, read_value
from serving.served.read_log import read_log
from serving.served.served_log import hash_key
from serving.verify import Difference, near_value

#: The spine's columns that no view has.
_AT = "forebay_served_at"
_SERVICE = "served_vectors"
#: Differences of a view that are explained.
_EXAMPLES = 10

Row = Mapping[str, Any]


@dataclass
class FeatureSkew:
    """How many values of a feature were compared, differ from training, and of these from F(D, T).

    Attributes:
        feature: its own name, whichever it was asked by.
    """

    feature: str
    values: int = 0
    skewed: int = 0
    broken: int = 0

    @property
    def share(self) -> float:
        """The share of values that differ from training."""
        return self.skewed / self.values if self.values else 0.0


@dataclass
class SkewReport:
    """What the log says of one view.

    Attributes:
        rows: of the log that were looked at; compared: those that could be.
        unavailable: the store did not answer in time; other_meaning: served under another
            definition; unknown: the key is null, or a hash of which no key is in the feature table.
        examples: the first differences, those that break the law first.
        withheld: why they are not shown: the view is another group's alone.
        error: why nothing of it could be compared, with a hint.
    """

    view: str
    rows: int = 0
    compared: int = 0
    unavailable: int = 0
    other_meaning: int = 0
    unknown: int = 0
    features: dict[str, FeatureSkew] = field(default_factory=dict)
    examples: list[Explained] = field(default_factory=list)
    withheld: str | None = None
    error: str | None = None

    @property
    def worst(self) -> FeatureSkew | None:
        """The feature of which the greatest share differs; None where none was compared."""
        return max(self.features.values(), key=lambda each: each.share, default=None)


def compare_served(
    project: Project,
    until: datetime,
    last: timedelta,
    *,
    most: int = 10_000,
    secret: bytes | None = None,
    views: Collection[str] | None = None,
) -> list[SkewReport]:
    """Compare what was served of each view with training.

    Args:
        until, last: the answers' instants, up to this one and so long before it.
        most: rows of a view that are compared, the latest ones.
        secret: that keys were hashed under.
        views: names of views or roles; None for all.

    Raises:
        ForebayError: the project does not compile, or its lake cannot be read.
    """
    catalog = project.catalog()
    by_view = read_log(open_lake(catalog.lake), until - last, until, most=most, views=views)
    if not by_view:
        return []
    compiled = compile_project(project, write=False)
    return [
        compare_rows(project, compiled, name, rows, secret)
        for name, rows in sorted(by_view.items())
    ]


def compare_rows(
    project: Project,
    compiled: Compiled,
    name: str,
    rows: Sequence[Row],
    secret: bytes | None = None,
    *,
    examples: int = _EXAMPLES,
) -> SkewReport:
    """Compare rows of the log of one view or role; what goes wrong is told in the report.

    Args:
        examples: differences that are explained.
    """
    comparison = _Comparison(project, compiled, name, secret, examples)
    try:
        comparison.run(rows)
    except known_errors() as error:
        comparison.report.error = str(explain_one(error))
    return comparison.report


class _Comparison:
    """The comparison of one view, and the report that it fills."""

    def __init__(
        self, project: Project, compiled: Compiled, name: str, secret: bytes | None, examples: int
    ) -> None:
        self._examples = examples
        self._project, self._compiled, self._secret = project, compiled, secret
        self._catalog = compiled.catalog
        self.report = SkewReport(name)

    def run(self, rows: Sequence[Row]) -> None:
        report, view = self.report, self._catalog.readable.get(self.report.view)
        report.rows = len(rows)
        report.unavailable = sum(row["status"] == UNAVAILABLE for row in rows)
        there = [row for row in rows if row["status"] != UNAVAILABLE]
        same = [r for r in there if view is not None and r["meaning"] == view.definition_hash]
        report.other_meaning = len(there) - len(same)
        if view is None or not same:
            return
        known = self._with_keys(view, same)
        report.unknown = len(same) - len(known)
        report.compared = len(known)
        if known:
            self._compare(view, known)

    def _with_keys(self, view: ViewEntry, rows: Sequence[Row]) -> list[Row]:
        """The rows whose keys are known, hashed ones with the keys that they are of."""
        wanted = {row["key_hash"] for row in rows if row["key_hash"] is not None}
        keys: dict[str, tuple[str, ...]] = {}
        if wanted and self._secret is not None:
            behind = self._catalog.views[self._catalog.view_behind(view.name)]
            encoder = RowEncoder(behind)
            for batch in open_feature_table(self._catalog, behind).batches(behind.keys):
                for key in encoder.keys(encoder.entities_only(batch)):
                    hashed = hash_key(self._secret, key)
                    if hashed in wanted:
                        keys[hashed] = decode_key(key)
        given = [{**r, "key": r["key"] or keys.get(r["key_hash"] or "")} for r in rows]
        return [row for row in given if row["key"] is not None]

    def _compare(self, view: ViewEntry, rows: Sequence[Row]) -> None:
        # A feature may be asked for by several names; one that the view has dropped is not compared.
        own = {fold_name(feature.name): feature.own_name for feature in view.names}
        answers = [
            {
                own[fold_name(name)]: text
                for name, text in zip(row["features"], row["values"], strict=True)
                if fold_name(name) in own
            }
            for row in rows
        ]
        names = list(dict.fromkeys(name for answer in answers for name in answer))
        if not names:
            return
        then = self._training(view, names, rows, "at")
        stored = {name for name in names if view.feature(name).expression is None}
        differing: list[tuple[int, str, Any]] = []
        for place, answer in enumerate(answers):
            for name, text in answer.items():
                skew = self.report.features.setdefault(name, FeatureSkew(name))
                skew.values += 1
                served = read_value(text, view.feature(name).type)
                if not near_value(then[name][place], served):
                    skew.skewed += 1
                    differing.append((place, name, served))
        if differing:
            self._explain(view, rows, then, differing, stored)

    def _explain(
        self,
        view: ViewEntry,
        rows: Sequence[Row],
        then: Mapping[str, list[Any]],
        differing: Sequence[tuple[int, str, Any]],
        stored: set[str],
    ) -> None:
        """Tell what the store was behind with from what breaks the law, and why."""
        places = sorted({place for place, _, _ in differing})
        of_place = {place: n for n, place in enumerate(places)}
        names = [name for name in then if name in stored]
        loaded = (
            self._training(view, names, [rows[p] for p in places], "loaded_at") if names else {}
        )
        cases = []
        for place, name, served in differing:
            row = rows[place]
            # What is computed as it is read has no value at T, and what was too old was not served.
            behind = name not in stored or row["status"] == OUTSIDE_MAX_AGE
            behind = behind or near_value(loaded[name][of_place[place]], served)
            self.report.features[name].broken += not behind
            key, offline = tuple(row["key"]), then[name][place]
            difference = Difference(key, name, offline, served)
            cases.append(
                Served(
                    difference,
                    epoch_us(row["at"]),
                    epoch_us(row["loaded_at"]),
                    behind,
                    None if row["leaves"] is None else json.loads(row["leaves"]),
                    too_old=row["status"] == OUTSIDE_MAX_AGE,
                )
            )
        self._show(view, cases)

    def _show(self, view: ViewEntry, cases: Sequence[Served]) -> None:
        """Explain the first differences to whoever may read the view."""
        refused = refusals(self._project, self._catalog, [view.name])
        if refused:
            self.report.withheld = str(refused[view.name])
            return
        first = sorted(cases, key=lambda case: case.behind)[: self._examples]
        behind_view = self._catalog.view_behind(view.name)
        entry = self._catalog.views[behind_view]
        compiled = self._compiled.view(behind_view)
        self.report.examples = explain_served(self._catalog, entry, compiled, first)

    def _training(
        self, view: ViewEntry, names: Sequence[str], rows: Sequence[Row], instant: str
    ) -> dict[str, list[Any]]:
        """The features of the rows' keys, each as of its own instant, over the lake of now."""
        listed = tuple((view.name, name) for name in names)
        behind = self._compiled.view(self._catalog.view_behind(view.name))
        template = service_template(listed, [behind], self._catalog.roles)
        services = {**self._catalog.services, _SERVICE: ServiceEntry(_SERVICE, listed)}
        catalog = replace(self._catalog, services=services)
        service = CompiledService(_SERVICE, catalog, template, lambda: self._compiled)
        spine = _spine(view, rows, instant)
        options = SetOptions(timestamp=_AT)
        with make_training_set(
            self._project, _SERVICE, spine, options, service, guarded=False
        ) as made:
            table = made.to_arrow()
        column = {name: FeatureReference(view.name, name).column for name in names}
        return {name: table[column[name]].to_pylist() for name in names}


def _spine(view: ViewEntry, rows: Sequence[Row], instant: str) -> pa.Table:
    """Keys, request values and instants, of the view's own types."""
    columns: dict[str, tuple[str, list[str | None]]] = {
        column.name: (column.type, [row["key"][n] for row in rows])
        for n, column in enumerate(view.entities)
    }
    sent = [read_request(row["request"]) for row in rows]
    for column in view.requests:
        columns[column.name] = column.type, [values.get(fold_name(column.name)) for values in sent]
    texts = pa.table(
        {name: pa.array(values, pa.string()) for name, (_, values) in columns.items()}
        | {_AT: pa.array([row[instant] for row in rows], pa.timestamp("us", tz="UTC"))}
    )
    keys = {column.name for column in view.entities}
    casts = [
        f"{_typed(quoted(name), kind, name in keys)} as {quoted(name)}"
        for name, (kind, _) in columns.items()
    ]
    with duckdb.connect() as connection:
        connection.execute(SESSION_AT_UTC)
        connection.register("texts", texts)
        return connection.sql(f"select {', '.join([*casts, _AT])} from texts").to_arrow_table()


def _typed(text: str, declared: str, is_key: bool) -> str:
    return key_value_sql(text, declared) if is_key else f"cast({text} as {declared})"
