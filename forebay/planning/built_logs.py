"""The logs of feature views that are in a lake, and what each was built from."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

from pyiceberg.catalog import Catalog as Lake
from pyiceberg.table import Table

from feature_specs.view_entry import table_of_log
from lakehouse.lake import (
    DEFINITION_PROPERTY,
    FeatureState,
    find_table,
    read_state,
    table_names,
)


@dataclass(frozen=True)
class BuiltLog:
    """A view's log.

    Attributes:
        tables: its identifier, and that of the view's latest rows where they are there.
        definition: what the view was built from; ``view`` and ``project`` are its own names.
    """

    tables: tuple[str, ...]
    state: FeatureState
    definition: dict[str, Any]


def built_logs(lake: Lake, project: str, besides: Container[str] = ()) -> Iterator[BuiltLog]:
    """The logs that say that a project built them; an earlier forebay's do not say whose they are.

    Args:
        besides: identifiers of logs that are not asked for.
    """
    names = table_names(lake)
    for name in names:
        latest = table_of_log(name)
        if latest is None or name in besides:
            continue
        table = find_table(lake, name)
        state = None if table is None else read_state(table)
        made = None if table is None else definition_of(table)
        if state is not None and made is not None and made.get("project") == project:
            yield BuiltLog((name, latest) if latest in names else (name,), state, made)


def definition_of(table: Table) -> dict[str, Any] | None:
    """What a view's table was built from; None of an earlier forebay's."""
    text = table.properties.get(DEFINITION_PROPERTY)
    return None if text is None else dict(json.loads(text))
