"""Why values that were really online differ from what training has for the same instants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from feature_specs.catalog import ViewEntry
from feature_specs.errors import UnknownNameError
from feature_specs.instants import epoch_us, from_epoch_us
from feature_specs.names import fold_name
from forebay.compilation.compile_project import Compiled, compile_project
from forebay.dbt_project.project import Project
from forebay.monitoring.compare_served import compare_rows
from forebay.training.served_set import TIMESTAMP
from lakehouse.lake import open_lake
from serving.erase_online import entity_texts
from serving.served.read_log import read_log

#: An answer: microseconds since the epoch, and the texts of the key.
_Answer = tuple[int, tuple[str, ...]]


def explain_served_rows(
    project: Project,
    service: str,
    rows: Sequence[Mapping[str, str | None]],
    features: Sequence[Mapping[str, Any]],
) -> list[str | None]:
    """Why each of some values differs; None where the log does not hold its row any more.

    Args:
        service: that the rows are of.
        rows: of the set, the columns that are not features, as text.
        features: of each row the feature, as the set's record has it.
    """
    compiled = compile_project(project, write=False)
    readable = compiled.catalog.readable
    answers: list[_Answer | None] = []
    wanted: dict[str, set[_Answer]] = defaultdict(set)
    for row, feature in zip(rows, features, strict=True):
        view = readable.get(feature["view"])
        answer = None if view is None else _answer(view, row)
        answers.append(answer)
        if view is not None and answer is not None:
            wanted[view.name].add(answer)
    told = {
        view: _Told(project, compiled, service, readable[view], each)
        for view, each in sorted(wanted.items())
    }
    return [
        None if answer is None else told[feature["view"]].why(answer, feature["feature"])
        for answer, feature in zip(answers, features, strict=True)
    ]


def _answer(view: ViewEntry, row: Mapping[str, str | None]) -> _Answer | None:
    """What a row of the set tells of; None where its key is none of the view's."""
    known = {fold_name(name): text for name, text in row.items()}
    key = {column.name: known.get(fold_name(column.name)) for column in view.entities}
    at = known[TIMESTAMP]
    given = {name: text for name, text in key.items() if text is not None}
    texts = entity_texts(view.entities, given)
    if at is None or texts is None or len(texts) < len(key):
        return None
    return epoch_us(datetime.fromisoformat(at)), tuple(texts[n] for n in range(len(texts)))


class _Told:
    """What the comparison of one view's logged answers with training says of each of them."""

    def __init__(
        self,
        project: Project,
        compiled: Compiled,
        service: str,
        view: ViewEntry,
        wanted: set[_Answer],
    ) -> None:
        self._view = view
        first, last = (from_epoch_us(end(at for at, _ in wanted)) for end in (min, max))
        logged = read_log(open_lake(project.lake), first, last, views=[view.name])
        rows = [
            row
            for row in logged.get(view.name, [])
            if row["service"] == service and _answer_of(row) in wanted
        ]
        same = [row for row in rows if row["meaning"] == view.definition_hash]
        self._logged = {_answer_of(row) for row in rows}
        self._same = {_answer_of(row) for row in same}
        most = sum(len(row["features"]) for row in same)
        report = compare_rows(project, compiled, view.name, same, examples=most)
        self._failed = report.error or report.withheld
        # Of one entity several vectors may be answered at an instant, each for a reason of its own.
        self._found: dict[tuple[_Answer, str], dict[str, None]] = defaultdict(dict)
        for each in report.examples:
            answer = each.at, each.difference.key
            self._found[answer, str(each.difference.column)][f"{each.kind}, since {each.why}"] = (
                None
            )

    def why(self, answer: _Answer, feature: str) -> str | None:
        """Why an answer's feature differs; None where no such answer is logged."""
        if answer not in self._logged:
            return None
        if answer not in self._same:
            return f"feature view {self._view.name} was redefined"
        if self._failed:
            return f"it cannot be told: {self._failed}"
        return " or ".join(self._reasons(answer, feature)) or "unexplained"

    def _reasons(self, answer: _Answer, feature: str) -> Iterator[str]:
        try:
            own = self._view.feature(feature).own_name
        except UnknownNameError:
            return
        yield from self._found.get((answer, own), ())


def _answer_of(row: Mapping[str, Any]) -> _Answer:
    return epoch_us(row["at"]), tuple(row["key"] or ())
