"""Column lineage as OpenLineage's facet: for each column those that it comes of, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lineage.effects import Effect, Effects
from lineage.events.encode_event import Facet
from lineage.view_lineage import Columns

#: A dataset's namespace and name.
Name = tuple[str, str]


def column_facet(columns: Columns, rows: Effects, names: Mapping[str, Name]) -> Facet:
    """The facet ``columnLineage``.

    Args:
        columns: of each column of the output, what reaches its values.
        rows: what reaches every column, since it decides which rows there are.
        names: of each table in those, its dataset's. One that is not there is left out.
    """
    fields = {name: {"inputFields": _inputs(found, names)} for name, found in columns.items()}
    facet: dict[str, Any] = {"fields": fields}
    if whole := _inputs(rows, names):
        facet["dataset"] = whole
    return facet


def copied_columns(columns: Mapping[str, str], source: Name) -> Facet:
    """The facet of what holds columns of another dataset as they are.

    Args:
        columns: of each column its name there.
    """
    namespace, name = source
    same = [_transformation(Effect("IDENTITY"))]
    return {
        "fields": {
            column: {
                "inputFields": [
                    {"namespace": namespace, "name": name, "field": there, "transformations": same}
                ]
            }
            for column, there in columns.items()
        }
    }


def _inputs(effects: Effects, names: Mapping[str, Name]) -> list[dict[str, Any]]:
    return [
        {
            "namespace": names[table][0],
            "name": names[table][1],
            "field": column,
            "transformations": [
                _transformation(each) for each in sorted(found, key=lambda effect: effect.code)
            ],
        }
        for (table, column), found in sorted(effects.items())
        if table in names
    ]


def _transformation(effect: Effect) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "DIRECT" if effect.direct else "INDIRECT",
        "subtype": effect.subtype,
        "masking": effect.masking,
    }
    if effect.tie:
        made["description"] = "decides only between rows that tie"
    return made
