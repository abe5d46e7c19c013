"""A service's statement over a spine, in DuckDB's SQL and in another engine's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from feature_specs.errors import CompileError, DataError
from forebay.compilation.current_service import CompiledService
from forebay.compilation.generate_macros import LAG, SPINE, TIMESTAMP
from lakehouse.engines.table_names import TableNames

if TYPE_CHECKING:
    from feature_specs.compile.engines import Steps

#: Stands for the spine until the engine's name of it is put in.
_SPINE = "forebay_spine"


def filled(template: str, spine: str, timestamp: str, lag_us: int) -> str:
    """The compiled statement of a service over a spine relation, still in DuckDB's SQL.

    Raises:
        DataError: the column of instants has a name that cannot be put in.
    """
    if re.search("[\"']", timestamp):
        raise DataError(
            f"the name of the column of instants, {timestamp}, holds a quote",
            where="spine",
            hint="rename the column",
        )
    for name, value in ((SPINE, spine), (TIMESTAMP, timestamp), (LAG, str(lag_us))):
        template = template.replace(name, value)
    return template


def write_on_engine(
    compiled: CompiledService,
    names: TableNames,
    spine: str,
    spine_columns: Sequence[str],
    timestamp: str,
    lag_us: int,
    relations: Mapping[str, str],
    prefix: str,
) -> Steps:
    """The statement as an engine runs it: several, where it is too large for one.

    Where the engine lacks what the chosen lowering needs, the views take another.

    Args:
        spine: the engine's SQL of the spine's rows, to stand in FROM.
        relations: the engine's SQL of each leaf, by its relation.
        prefix: what the names of the steps' tables begin with, catalog and schema included.

    Raises:
        CompileError: the engine cannot do it with the same meaning; names the construct.
    """
    from feature_specs.compile.engines import write_steps_for_engine

    leaves = {entry.relation: entry.columns for entry in compiled.catalog.leaves.values()}

    def write(template: str) -> Steps:
        return write_steps_for_engine(
            filled(template, _SPINE, timestamp, lag_us),
            names.engine,
            prefix,
            spine_columns=spine_columns,
            schema=leaves,
            relations={**relations, _SPINE: spine},
        )

    try:
        return write(compiled.template)
    except CompileError:
        return write(compiled.template_for(names.engine))
