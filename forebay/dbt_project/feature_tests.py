"""The generic dbt tests of features: for each a SELECT of the rows that fail it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.drift_options import read_drift, thresholds_of
from feature_specs.durations import parse_duration
from feature_specs.errors import DataError, ForebayError, UnknownNameError, did_you_mean
from feature_specs.instants import epoch_us, from_epoch_us, microseconds
from feature_specs.names import fold_name
from feature_specs.quote import literal, quoted
from lakehouse.lake import find_table, open_lake, read_state


@dataclass(frozen=True)
class _Test:
    """One test of one node.

    Attributes:
        view: the feature view that is tested; None of another node.
        relation: what stands after FROM.
        at: the instant that the rows are of: a view's T, else that of the run.
        now: the clock of the run.
    """

    catalog: Catalog
    folder: Path
    name: str
    node: str
    view: ViewEntry | None
    relation: str
    arguments: Mapping[str, Any]
    command: str
    now: datetime

    @property
    def at(self) -> datetime:
        return self.now if self.view is None else _built_at(self, self.view)

    def tested_view(self) -> ViewEntry:
        """The feature view. Raises ForebayError where the node is none."""
        if self.view is None:
            raise ForebayError(
                f"{self.node} is not a feature view, and {self.name} tests one",
                where=f"test {self.name}",
                hint="put the test under a model with materialized='feature_view', and run "
                "`forebay compile`",
            )
        return self.view


def _built_at(test: _Test, view: ViewEntry) -> datetime:
    """The instant of a view's rows. Raises DataError of one that was never built."""
    state = read_state(find_table(open_lake(test.catalog.lake), view.table))
    if state is None:
        raise DataError(
            f"feature view {view.name!r} is not built yet",
            where=f"test {test.name}",
            hint="run `forebay build`",
        )
    return from_epoch_us(state.at)


def failing_rows(catalog: Catalog, folder: Path, request: Mapping[str, Any], now: datetime) -> str:
    """SQL of the rows that fail a test.

    Args:
        folder: where compile writes, target/forebay.
        request: what the macro forebay_feature_test asks for.
        now: the clock of the run.

    Raises:
        ForebayError: the node is not what the test is of, or an argument is none.
    """
    node = str(request["node"])
    view = next((v for v in catalog.views.values() if v.unique_id == node), None)
    test = _Test(
        catalog, folder, request["test"], node, view, request["relation"],
        request["arguments"], request["command"], now,
    )  # fmt: skip
    return _TESTS[test.name](test)


def _online_equals_offline(test: _Test) -> str:
    from serving.verify import verify

    view = test.tested_view()
    if test.command == "build":
        return _rows([])  # `forebay sync` comes after the build, and `dbt test` after that
    (report,) = verify(test.catalog, [view.name], now=test.now)
    if report.error is not None:
        raise DataError(report.error, where=f"test {test.name}", hint="run `forebay verify`")
    wrong = [str(example) for example in report.examples]
    if not report.same_query:
        wrong.append("the online rows are of another query, or were never synced: `forebay sync`")
    left = report.different + report.missing + report.extra - len(report.examples)
    return _rows([*wrong, *([f"and {left} more"] if left > 0 else [])])


def _fresh_within(test: _Test) -> str:
    from serving.state import load_state
    from serving.stores import StoredView, open_store

    view = test.tested_view()
    period = parse_duration(
        test.arguments["period"], field="period", where=f"test {test.name} of {view.name}"
    )
    instants = {"offline": epoch_us(test.at)}
    if test.arguments["online"] and test.command != "build":
        store = open_store(test.catalog.online, readonly=True)
        try:
            state = load_state(store.get_state(StoredView.of(view)))
        finally:
            store.close()
        if state is None:
            return _rows(["online: never synced"])
        instants["online"] = state.at
    old = {n: at for n, at in instants.items() if epoch_us(test.now) - at > microseconds(period)}
    return _rows(
        [f"{n}: of {from_epoch_us(at).isoformat()}, and it is {test.now.isoformat()}"
         for n, at in old.items()]
    )  # fmt: skip


def _drift_below(test: _Test) -> str:
    from lakehouse.statistics.drift_of_views import drift_of_views
    from lakehouse.statistics.measure_views import measure_project

    view, column = test.tested_view(), str(test.arguments["column"])
    feature = view.feature(column).name
    given = {name: value for name, value in test.arguments["given"].items() if value is not None}
    said = read_drift(given, f"drift_below of {column}", view.file)
    limits = {"": dict(vars(thresholds_of(view.drift, feature)))}
    limits[""] |= said.get("", {})
    _built_at(test, view)
    measure_project(test.catalog, test.folder, [view.name])
    found = drift_of_views(
        test.catalog, test.folder, [view.name], features=[feature], limits=limits
    )
    return _rows(
        [
            f"{d.feature} against {d.against}: "
            + ", ".join(f"{measure} {getattr(d, measure):.3f}" for measure in d.over)
            for d in found
            if d.over
        ]
    )


def _no_future_rows(test: _Test) -> str:
    column = quoted(str(test.arguments["column"]))
    at = test.at.isoformat()
    return (
        f"select * from {test.relation} as tested "
        f"where cast({column} as timestamptz) > cast({literal(at)} as timestamptz)"
    )


def _one_row_per_entity(test: _Test) -> str:
    given = test.arguments["entities"]
    if given is None:
        given = [c.name for c in test.tested_view().entities]
    names = [given] if isinstance(given, str) else list(given)
    if not names:
        raise ForebayError(
            "entities is empty", where=f"test {test.name}", hint="name the key columns"
        )
    if test.view is not None:
        _check_columns(test.view, names)
    keys = ", ".join(quoted(str(name)) for name in names)
    nulls = " or ".join(f"{quoted(str(name))} is null" for name in names)
    return (
        f"select {keys}, count(*) as rows_of_it from {test.relation} as tested group by {keys} "
        f"having count(*) > 1 or {nulls}"
    )


def _check_columns(view: ViewEntry, names: Sequence[str]) -> None:
    known = [c.name for c in view.entities] + [f.name for f in view.features]
    known += [view.event_time] if view.event_time else []
    for name in names:
        if fold_name(name) not in map(fold_name, known):
            raise UnknownNameError(
                f"feature view {view.name!r} has no column {name!r}",
                where="test one_row_per_entity, entities",
                hint=did_you_mean(name, known),
            )


_TESTS: Mapping[str, Callable[[_Test], str]] = {
    "online_equals_offline": _online_equals_offline,
    "fresh_within": _fresh_within,
    "drift_below": _drift_below,
    "no_future_rows": _no_future_rows,
    "one_row_per_entity": _one_row_per_entity,
}


def _rows(faults: Sequence[str]) -> str:
    """A SELECT of faults, a row each; of no row where there is none."""
    if not faults:
        return "select '' as fault where false"
    values = ", ".join(f"({literal(fault)})" for fault in faults)
    return f"select fault from (values {values}) as failing(fault)"
