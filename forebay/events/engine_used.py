"""Which engine computed, for OpenLineage: what it is called, and its version, which it is asked."""

from __future__ import annotations

from lakehouse.engines.sql_engine import SqlEngine
from lineage.events.encode_event import Facet
from lineage.events.run import NO_RUN, current_run

#: The facet of each engine that this process has connected to.
_USED: dict[str, Facet] = {}


def note_engine(name: str, engine: SqlEngine) -> None:
    """Ask an engine for its version, and let the run that goes on say that it computes.

    dbt's run says that dbt's own engine does; what feature views it built say this one (`engine_of`).
    """
    run = current_run()
    if run is NO_RUN:
        return
    ((version,),) = engine.run("select version()")
    _USED[name] = {"name": name, "version": str(version).split()[0]}
    if run.job.integration != "DBT":
        run.describe(processing_engine=_USED[name])


def engine_of(name: str) -> Facet | None:
    """The facet ``processing_engine`` of an engine that was connected to."""
    return _USED.get(name)
