"""The plugin that a dbt profile names: `module: forebay.dbt_plugin`, however forebay is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from dbt.adapters.duckdb.utils import TargetConfig
from pyiceberg.catalog import Catalog as Lake

from forebay.dbt_project.project import find_project
from forebay.engines.connect_engine import EMBEDDED, engine_connector
from lakehouse.dbt_plugin import ENGINE_TARGET_VARIABLE, ENGINE_VARIABLE, instant_of
from lakehouse.dbt_plugin import Plugin as LakePlugin
from lakehouse.feature_tables.compute_rows import ComputeRows, RowsHere

__all__ = ["Plugin"]


class Plugin(LakePlugin):
    """The lake's plugin, whose feature views an engine may compute that `forebay build` names, and
    which answers the generic tests of features (macro forebay_feature_test)."""

    @contextmanager
    def computing(self, lake: Lake) -> Iterator[ComputeRows]:
        name = os.environ.get(ENGINE_VARIABLE, EMBEDDED)
        if name == EMBEDDED:
            yield RowsHere
            return
        from lakehouse.engines.compute_there import RowsOnEngine
        from lakehouse.engines.engine_run import EngineRun

        project = find_project(self.root, os.environ.get(ENGINE_TARGET_VARIABLE) or None)
        with EngineRun(lake, engine_connector(name, project)) as run:
            yield partial(RowsOnEngine, run)

    def store(self, target_config: TargetConfig) -> None:
        """As `LakePlugin.store`; a request of kind ``test`` gets the SELECT of failing rows.

        Raises:
            ForebayError: what is tested cannot be read, or an argument of the test is none.
        """
        request: dict[str, Any] = target_config.config
        if request["kind"] != "test":
            super().store(target_config)
            return
        from forebay.dbt_project.feature_tests import failing_rows

        catalog = self.compiled()
        request["select"] = failing_rows(catalog, self.folder, request, instant_of(request))
