"""Encode an event as OpenLineage JSON; facets get their schema and producer here.

Written without openlineage-python, whose import costs a short command a quarter of its time;
tests hold each facet to its class there and to the specification's schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

#: The fields of a facet, in the words of the specification.
Facet: TypeAlias = Mapping[str, Any]
State: TypeAlias = Literal["START", "RUNNING", "COMPLETE", "ABORT", "FAIL"]
Kind: TypeAlias = Literal["run", "job", "dataset", "input", "output"]

SPEC = "https://openlineage.io/spec"
EVENT_SCHEMA = f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"

#: By what a facet is of and its key: the version and name of its schema.
SCHEMAS: Mapping[tuple[Kind, str], tuple[str, str]] = {
    ("run", "errorMessage"): ("1-0-1", "ErrorMessageRunFacet"),
    ("run", "extractionError"): ("1-1-2", "ExtractionErrorRunFacet"),
    ("run", "nominalTime"): ("1-0-1", "NominalTimeRunFacet"),
    ("run", "parent"): ("1-2-0", "ParentRunFacet"),
    ("run", "processing_engine"): ("1-1-1", "ProcessingEngineRunFacet"),
    ("run", "tags"): ("1-0-0", "TagsRunFacet"),
    ("job", "documentation"): ("1-1-0", "DocumentationJobFacet"),
    ("job", "jobType"): ("2-0-4", "JobTypeJobFacet"),
    ("job", "ownership"): ("1-0-1", "OwnershipJobFacet"),
    ("job", "sourceCodeLocation"): ("1-1-0", "SourceCodeLocationJobFacet"),
    ("job", "sql"): ("1-1-0", "SQLJobFacet"),
    ("job", "tags"): ("1-0-0", "TagsJobFacet"),
    ("dataset", "catalog"): ("1-1-0", "CatalogDatasetFacet"),
    ("dataset", "columnLineage"): ("1-2-0", "ColumnLineageDatasetFacet"),
    ("dataset", "dataQualityAssertions"): ("1-1-0", "DataQualityAssertionsDatasetFacet"),
    ("dataset", "dataSource"): ("1-0-1", "DatasourceDatasetFacet"),
    ("dataset", "datasetType"): ("1-0-1", "DatasetTypeDatasetFacet"),
    ("dataset", "documentation"): ("1-1-0", "DocumentationDatasetFacet"),
    ("dataset", "hierarchy"): ("1-0-0", "HierarchyDatasetFacet"),
    ("dataset", "lifecycleStateChange"): ("1-0-1", "LifecycleStateChangeDatasetFacet"),
    ("dataset", "ownership"): ("1-0-1", "OwnershipDatasetFacet"),
    ("dataset", "schema"): ("1-2-0", "SchemaDatasetFacet"),
    ("dataset", "storage"): ("1-0-1", "StorageDatasetFacet"),
    ("dataset", "symlinks"): ("1-0-1", "SymlinksDatasetFacet"),
    ("dataset", "version"): ("1-0-1", "DatasetVersionDatasetFacet"),
    ("input", "dataQualityAssertions"): ("1-1-0", "DataQualityAssertionsDatasetFacet"),
    ("input", "inputStatistics"): ("1-0-0", "InputStatisticsInputDatasetFacet"),
    ("input", "subset"): ("1-0-0", "BaseSubsetDatasetFacet"),
    ("output", "outputStatistics"): ("1-0-2", "OutputStatisticsOutputDatasetFacet"),
    ("output", "subset"): ("1-0-0", "BaseSubsetDatasetFacet"),
}
#: Two facets of one schema file, whose definitions are named for where they stand.
_DEFINITIONS: Mapping[tuple[Kind, str], str] = {
    ("input", "subset"): "InputSubsetInputDatasetFacet",
    ("output", "subset"): "OutputSubsetOutputDatasetFacet",
}


@dataclass(frozen=True)
class Dataset:
    """What a job reads or writes, by the name that other tools have for it too.

    Attributes:
        facets: of the data itself.
        io: of this reading or writing of it: statistics, the part that it is of.
    """

    namespace: str
    name: str
    facets: Mapping[str, Facet] = field(default_factory=dict)
    io: Mapping[str, Facet] = field(default_factory=dict)

    def with_facets(self, **facets: Facet | None) -> Dataset:
        """The dataset with facets more; those that are None are left out."""
        return replace(self, facets={**self.facets, **_given(facets)})

    def with_io(self, **facets: Facet | None) -> Dataset:
        """The dataset with facets more of this reading or writing of it."""
        return replace(self, io={**self.io, **_given(facets)})


def _given(facets: Mapping[str, Facet | None]) -> dict[str, Facet]:
    return {name: facet for name, facet in facets.items() if facet is not None}


@dataclass(frozen=True)
class Event:
    """One event of a run."""

    state: State
    time: str
    run: str
    run_facets: Mapping[str, Facet]
    job_namespace: str
    job: str
    job_facets: Mapping[str, Facet]
    inputs: Sequence[Dataset] = ()
    outputs: Sequence[Dataset] = ()


def encode_event(event: Event, producer: str) -> dict[str, Any]:
    """The event as JSON's objects and lists."""
    return {
        "eventType": event.state,
        "eventTime": event.time,
        "producer": producer,
        "schemaURL": EVENT_SCHEMA,
        "run": {"runId": event.run, "facets": _facets("run", event.run_facets, producer)},
        "job": {
            "namespace": event.job_namespace,
            "name": event.job,
            "facets": _facets("job", event.job_facets, producer),
        },
        "inputs": [_dataset("input", each, producer) for each in event.inputs],
        "outputs": [_dataset("output", each, producer) for each in event.outputs],
    }


def _dataset(kind: Literal["input", "output"], dataset: Dataset, producer: str) -> dict[str, Any]:
    return {
        "namespace": dataset.namespace,
        "name": dataset.name,
        "facets": _facets("dataset", dataset.facets, producer),
        f"{kind}Facets": _facets(kind, dataset.io, producer),
    }


def _facets(kind: Kind, facets: Mapping[str, Facet], producer: str) -> dict[str, Any]:
    return {
        key: {**fields, "_producer": producer, "_schemaURL": schema_url(kind, key)}
        for key, fields in facets.items()
    }


def schema_url(kind: Kind, key: str) -> str:
    """Where the schema of a facet is."""
    version, name = SCHEMAS[kind, key]
    definition = _DEFINITIONS.get((kind, key), name)
    return f"{SPEC}/facets/{version}/{name}.json#/$defs/{definition}"
