"""OpenLineage runs of dbt's nodes, beneath the command that builds them.

Jobs are named as openlineage-dbt names them, and datasets carry, beside their own names, those
that it has for them.
"""

from __future__ import annotations

import json
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from feature_specs.catalog import Catalog, load_catalog
from feature_specs.errors import ForebayError
from forebay.events.engine_used import engine_of
from forebay.events.view_columns import view_columns
from lakehouse.dbt_plugin import ENGINE_VARIABLE
from lakehouse.iceberg_dataset import iceberg_dataset, read_from
from lakehouse.lake import find_table, open_lake, read_state
from lineage.events.encode_event import Dataset, Facet
from lineage.events.names import source, with_symlink
from lineage.events.run import NO_RUN, Job, Run, current_run

#: What dbt builds, and how openlineage-dbt calls such a job.
_BUILT = {"model": "run", "snapshot": "snapshot", "seed": "seed"}
_COMMANDS = ("build", "run", "seed", "snapshot", "test")
_WELL = ("success", "pass", "warn", "no-op")


class NodeEvents:
    """Listens to dbt's own events of one invocation; does nothing outside a run.

    Args:
        root: the project's folder.
        command: dbt's; one that builds nothing has nothing to tell.
        duckdb: the path of its DuckDB file, as its profile has it.
        lake: gives what opens its lake.
    """

    def __init__(
        self, root: Path, command: str, duckdb: str, lake: Callable[[], Mapping[str, str]]
    ) -> None:
        self._root, self._lake_of = root, lake
        self._namespace = f"duckdb://{duckdb}"
        self._whole = current_run() if command in _COMMANDS else NO_RUN
        self._runs: dict[str, Run] = {}
        self._assertions: dict[str, list[Facet]] = defaultdict(list)
        self._lock = threading.Lock()

    def hear(self, event: Any) -> None:
        """Take one event of dbt's."""
        if self._whole is NO_RUN or event.info.name not in ("NodeStart", "NodeFinished"):
            return
        node = event.data.node_info
        with self._lock:  # nodes run in threads
            if event.info.name == "NodeFinished":
                self._finish(node.unique_id, event.data.run_result)
            elif node.resource_type in _BUILT:
                self._start(node.unique_id, node.resource_type)

    def close(self) -> None:
        """Tell of the tests, by what they are of, and of what was interrupted."""
        for run in self._runs.values():
            run.tell("ABORT")
        for unique_id, assertions in self._assertions.items():
            self._tell_tests(unique_id, assertions)
        self._runs, self._assertions = {}, defaultdict(list)

    def _start(self, unique_id: str, kind: str) -> None:
        node = self._node(unique_id)
        job = self._job(unique_id, _BUILT[kind], kind.upper(), self._about(node))
        run = self._runs[unique_id] = self._whole.child(job)
        if tags := node.get("tags"):
            fields = [{"key": tag, "value": "true", "source": "DBT"} for tag in tags]
            run.describe(tags={"tags": fields})
        run.tell("START")

    def _finish(self, unique_id: str, result: Any) -> None:
        if unique_id.startswith("test."):
            self._note_test(self._node(unique_id), result)
        run = self._runs.pop(unique_id, None)
        if run is None:
            return
        with run.describing():
            self._describe(run, unique_id)
        failed = None if str(result.status).lower() in _WELL else str(result.message)
        run.tell("COMPLETE" if failed is None else "FAIL", failed)

    def _describe(self, run: Run, unique_id: str) -> None:
        node = self._node(unique_id)
        file = str(node.get("original_file_path") or "")
        compiled = self._root / "target" / "compiled" / str(node.get("package_name")) / file
        if compiled.is_file():
            run.describe_job(sql={"query": compiled.read_text(), "dialect": "duckdb"})
        read: Mapping[str, int | None] = {}
        view = next((v for v in self._views.values() if v.unique_id == unique_id), None)
        output = self._dataset(unique_id)
        if view is not None and self._catalog is not None:
            table = find_table(self._lake, view.table)
            state = read_state(table)
            # What the rows were computed of, which the table's own state says.
            leaves = {} if state is None else state.snapshots
            read = {self._catalog.leaves[n].table: s for n, s in leaves.items() if s is not None}
            for name in view.leaves:
                run.read(self._leaf(name, read))
            columns = view_columns(self._root, self._catalog, view, self._lake)
            output = output.with_facets(columnLineage=columns)
            engine = engine_of(os.environ.get(ENGINE_VARIABLE, ""))
            if engine is not None:
                run.describe(processing_engine=engine)
        else:
            parents = node.get("depends_on", {}).get("nodes", ())
            run.read(*(self._dataset(parent) for parent in parents if self._is_data(parent)))
        run.wrote(output)

    def _leaf(self, name: str, read: Mapping[str, int | None]) -> Dataset:
        catalog = self._catalog
        assert catalog is not None
        leaf = catalog.leaves[name]
        known = [i for i, n in self._named.items() if n.get("relation_name") == leaf.relation]
        unique_id = leaf.origin.node if leaf.origin is not None else next(iter(known), "")
        return self._dataset(unique_id, leaf.table, read.get(leaf.table))

    def _dataset(
        self, unique_id: str, table: str | None = None, snapshot: int | None = None
    ) -> Dataset:
        """A node's data: the Iceberg table, or else what stands in the project's DuckDB file."""
        node = self._node(unique_id)
        name = node.get("name") if unique_id.startswith("source.") else node.get("alias")
        parts = (node.get("database"), node.get("schema"), name)
        in_duckdb = ".".join(str(part) for part in parts if part)
        identifier = table or self._tables.get(unique_id) or self._tables_by_relation(node)
        found = find_table(self._lake, identifier) if identifier else None
        if found is None:
            facets: dict[str, Facet] = {"dataSource": source(self._namespace)}
            if description := node.get("description"):
                facets["documentation"] = {"description": description}
            return Dataset(self._namespace, in_duckdb, facets)
        made = iceberg_dataset(
            found,
            self._lake_of(),
            snapshot=snapshot,
            owner=_owner(node),
            description=node.get("description") or "",
        )
        made = read_from(found, made, snapshot) if snapshot is not None else made
        return with_symlink(made, self._namespace, in_duckdb) if in_duckdb else made

    def _tables_by_relation(self, node: Mapping[str, Any]) -> str | None:
        known = {} if self._catalog is None else self._catalog.relations
        return known.get(str(node.get("relation_name")))

    def _note_test(self, test: Mapping[str, Any], result: Any) -> None:
        parents = [p for p in test.get("depends_on", {}).get("nodes", ()) if self._is_data(p)]
        if not parents or str(result.status).lower() == "skipped":
            return
        metadata = test.get("test_metadata") or {}
        column = (metadata.get("kwargs") or {}).get("column_name") or test.get("column_name")
        severity = str((test.get("config") or {}).get("severity") or "error").lower()
        assertion: dict[str, Any] = {
            "assertion": metadata.get("name") or test["name"],
            "name": test["name"],
            "success": str(result.status).lower() == "pass",
            "severity": severity,
            **({"column": column} if column else {}),
        }
        self._assertions[parents[-1]].append(assertion)

    def _tell_tests(self, unique_id: str, assertions: list[Facet]) -> None:
        run = self._whole.child(self._job(unique_id, "test", "TEST", {}))
        run.tell("START")
        with run.describing():
            made = self._dataset(unique_id)
            facet = {"assertions": assertions}
            told = made.with_facets(dataQualityAssertions=facet)
            run.read(told.with_io(dataQualityAssertions=facet))
        failed = [a["name"] for a in assertions if not a["success"] and a["severity"] != "warn"]
        run.tell(
            "FAIL" if failed else "COMPLETE", f"failed: {', '.join(failed)}" if failed else None
        )

    def _job(self, unique_id: str, verb: str, kind: str, facets: Mapping[str, Facet]) -> Job:
        node = self._node(unique_id)
        short = unique_id.removeprefix("model.").removeprefix("snapshot.")
        parts = (node.get("database"), node.get("schema"), short)
        name = ".".join(str(part) for part in parts if part)
        return Job(f"{name}.build.{verb}", kind, "DBT", facets=facets)

    def _about(self, node: Mapping[str, Any]) -> dict[str, Facet]:
        facets: dict[str, Facet] = {}
        if tags := node.get("tags"):
            listed = [{"key": tag, "value": "true", "source": "DBT"} for tag in tags]
            facets["tags"] = {"tags": listed}
        if owner := _owner(node):
            facets["ownership"] = {"owners": [{"name": owner}]}
        if description := node.get("description"):
            facets["documentation"] = {"description": description}
        return facets

    def _is_data(self, unique_id: str) -> bool:
        return unique_id.startswith(("model.", "source.", "seed.", "snapshot."))

    def _node(self, unique_id: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._named.get(unique_id, {})
        return found

    @cached_property
    def _named(self) -> Mapping[str, Any]:
        """What dbt knows of nodes and sources: it writes that down before it runs the first."""
        try:
            raw = json.loads((self._root / "target" / "manifest.json").read_text())
        except (OSError, ValueError):
            return {}
        return {**raw["nodes"], **raw["sources"]}

    @cached_property
    def _catalog(self) -> Catalog | None:
        """What was compiled; None before the first half of a first build."""
        try:
            return load_catalog(self._root / "target" / "forebay" / "catalog.json")
        except ForebayError:
            return None

    @property
    def _views(self) -> Mapping[str, Any]:
        return {} if self._catalog is None else self._catalog.views

    @cached_property
    def _tables(self) -> dict[str, str]:
        """The Iceberg table of each node that has one."""
        if self._catalog is None:
            return {}
        copied = [leaf for leaf in self._catalog.leaves.values() if leaf.origin is not None]
        return {
            **{view.unique_id: view.table for view in self._catalog.views.values()},
            **{made.unique_id: made.table for made in self._catalog.training_sets.values()},
            **{leaf.origin.node: leaf.table for leaf in copied if leaf.origin is not None},
        }

    @cached_property
    def _lake(self) -> Any:
        return open_lake(self._lake_of())


def _owner(node: Mapping[str, Any]) -> str:
    meta = {**(node.get("meta") or {}), **((node.get("config") or {}).get("meta") or {})}
    owner = meta.get("owner") or (meta.get("feature_view") or {}).get("owner")
    return str(owner or node.get("group") or "")
