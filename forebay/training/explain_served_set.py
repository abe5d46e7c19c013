"""Why values that were really online differ from what training has for the same instants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from feature_specs.instants import epoch_us, from_epoch_us
from feature_specs.names import fold_name
from forebay.compilation.compile_project import compile_project
from forebay.dbt_project.project import Project
from forebay.explain_differences import Explained
from forebay.monitoring.compare_served import compare_rows
from forebay.training.served_set import TIMESTAMP
from lakehouse.lake import open_lake
from serving.served.read_log import read_log

#: Microseconds since the epoch, texts of the key, view or role, feature.
_Place = tuple[int, tuple[str, ...], str, str]


def explain_served_rows(
    project: Project,
    rows: Sequence[Mapping[str, str | None]],
    features: Sequence[Mapping[str, Any]],
) -> list[str | None]:
    """Why each of some values differs; None where the log does not hold its row any more.

    Args:
        rows: of the set, the columns that are not features, as text.
        features: of each row the feature, as the set's record has it.
    """
    compiled = compile_project(project, write=False)
    readable = compiled.catalog.readable
    places: list[_Place] = []
    for row, feature in zip(rows, features, strict=True):
        known = {fold_name(name): str(text) for name, text in row.items()}
        entities = readable[feature["view"]].entities if feature["view"] in readable else ()
        key = tuple(known[fold_name(column.name)] for column in entities)
        at = epoch_us(datetime.fromisoformat(known[TIMESTAMP]))
        places.append((at, key, feature["view"], feature["feature"]))
    found: dict[_Place, Explained] = {}
    for view in sorted({place[2] for place in places} & set(readable)):
        instants = {at for at, _, name, _ in places if name == view}
        first, last = from_epoch_us(min(instants)), from_epoch_us(max(instants))
        logged = read_log(open_lake(project.lake), first, last, views=[view]).get(view, [])
        differing = [row for row in logged if epoch_us(row["at"]) in instants]
        report = compare_rows(project, compiled, view, differing, examples=len(places))
        for each in report.examples:
            found[each.at, each.difference.key, view, str(each.difference.column)] = each
    told = map(found.get, places)
    return [None if each is None else f"{each.kind}, since {each.why}" for each in told]
