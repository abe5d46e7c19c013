"""Training sets of a list of features, under the names that Feast's users know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from feature_specs.catalog import ServiceEntry
from feature_specs.errors import DataError
from feature_specs.names import fold_name
from forebay.compilation.current_service import CompiledService
from forebay.dbt_project.project import Project
from forebay.training.make_set import SetOptions, make_training_set
from forebay.training.training_set import TrainingSet

if TYPE_CHECKING:
    import pandas as pd

#: The service that a list of features stands for.
_LISTED = "historical_features"


class HistoricalFeatures:
    """What Feast calls a retrieval job: rows that are computed once they are asked for."""

    def __init__(self, made: TrainingSet, names: dict[str, str]) -> None:
        self.training_set = made
        self._names = names

    def to_df(self) -> pd.DataFrame:
        """A pandas frame; index, columns and order of the caller's are kept."""
        return self.training_set.to_pandas().rename(columns=self._names)

    def to_arrow(self) -> pa.Table:
        """An Arrow table."""
        table = self.training_set.to_arrow()
        return table.rename_columns([self._names.get(n, n) for n in table.column_names])


def historical_features(
    project: Project,
    entity_df: Any,
    features: str | Sequence[str],
    full_feature_names: bool,
    timezone: str | None,
) -> HistoricalFeatures:
    """Features by ``view:feature``, or those of a service.

    Raises:
        ForebayError: there is no such feature, or two would have one name.
    """
    options = SetOptions(timezone=timezone)
    if isinstance(features, str):
        made = make_training_set(project, features, entity_df, options)
    else:
        compiled = _compile(project, list(features))
        made = make_training_set(project, _LISTED, entity_df, options, compiled)
    if full_feature_names:
        return HistoricalFeatures(made, {})
    names = {f["name"]: str(f["feature"]) for f in made.record["features"]}
    taken = [fold_name(names.get(n, n)) for n in made.columns]
    twice = next((n for n in names.values() if taken.count(fold_name(n)) > 1), None)
    if twice is not None:
        made.close()
        raise DataError(
            f"two columns would be named {twice!r}",
            where="features",
            hint="full_feature_names=True names each view__feature",
        )
    return HistoricalFeatures(made, names)


def _compile(project: Project, references: list[str]) -> CompiledService:
    """A service of the listed features, as the project stands now; nothing is written."""
    from forebay.compilation.compile_parts import service_template
    from forebay.compilation.compile_project import compile_project

    pairs = []
    for reference in references:
        view, colon, feature = reference.partition(":")
        if not colon:
            raise DataError(
                f"{reference!r} is not view:feature", where="features", hint='write "view:feature"'
            )
        pairs.append((view, feature))
    compiled = compile_project(project, write=False)
    catalog = compiled.catalog
    listed = tuple((v, catalog.view(v, "features").feature(f).name) for v, f in pairs)
    views = [compiled.view(name) for name in dict.fromkeys(v for v, _ in listed)]
    template = service_template(listed, views, aliases=catalog.aliases_in(listed))
    services = {**catalog.services, _LISTED: ServiceEntry(_LISTED, listed)}
    catalog = replace(catalog, services=services)
    return CompiledService(_LISTED, catalog, template, lambda: compiled)
