"""Events are what the specification and openlineage-python say that they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openlineage.client import facet_v2
from openlineage.client.serde import Serde

from lineage.events.encode_event import SCHEMAS, Dataset, Event, Kind, encode_event, schema_url
from tests.lineage.events.schemas import check_event, schemas

PRODUCER = "https://example.com/forebay"
RUN = "01a22764-5a3b-7446-b30c-97f23c12f04e"
REFERENCE = {"run": {"runId": RUN}, "job": {"namespace": "dbt", "name": "a"}}
COMPARE = {
    "type": "compare",
    "left": {"type": "field", "field": "at"},
    "right": {"type": "literal", "value": "2024-01-01T00:00:00+00:00"},
    "comparison": "LESS_EQUAL_THAN",
}
INPUT_FIELD = {
    "namespace": "file",
    "name": "/lake/raw/a",
    "field": "x",
    "transformations": [
        {"type": "DIRECT", "subtype": "AGGREGATION", "description": "sum", "masking": False}
    ],
}
ASSERTIONS = {
    "assertions": [
        {"assertion": "not_null", "success": False, "column": "x", "severity": "error", "name": "t"}
    ]
}
OWNERS = {"owners": [{"name": "team:risk", "type": "MAINTAINER"}]}
#: An example of each facet, with its class in openlineage-python.
EXAMPLES: dict[tuple[Kind, str], tuple[dict[str, Any], type]] = {
    ("run", "errorMessage"): (
        {"message": "it broke", "programmingLanguage": "PYTHON"},
        facet_v2.error_message_run.ErrorMessageRunFacet,
    ),
    ("run", "extractionError"): (
        {"totalTasks": 1, "failedTasks": 1, "errors": [{"errorMessage": "no such table"}]},
        facet_v2.extraction_error_run.ExtractionErrorRunFacet,
    ),
    ("run", "nominalTime"): (
        {"nominalStartTime": "2024-01-01T00:00:00+00:00"},
        facet_v2.nominal_time_run.NominalTimeRunFacet,
    ),
    ("run", "parent"): (
        {**REFERENCE, "root": REFERENCE},
        facet_v2.parent_run.ParentRunFacet,
    ),
    ("run", "processing_engine"): (
        {"name": "duckdb", "version": "2.0.0"},
        facet_v2.processing_engine_run.ProcessingEngineRunFacet,
    ),
    ("run", "tags"): (
        {"tags": [{"key": "nightly", "value": "true", "source": "DBT"}]},
        facet_v2.tags_run.TagsRunFacet,
    ),
    ("job", "documentation"): (
        {"description": "spending"},
        facet_v2.documentation_job.DocumentationJobFacet,
    ),
    ("job", "jobType"): (
        {"processingType": "BATCH", "integration": "DBT", "jobType": "MODEL"},
        facet_v2.job_type_job.JobTypeJobFacet,
    ),
    ("job", "ownership"): (OWNERS, facet_v2.ownership_job.OwnershipJobFacet),
    ("job", "sourceCodeLocation"): (
        {"type": "git", "url": "https://example.com/a.git", "version": "abc", "branch": "main"},
        facet_v2.source_code_location_job.SourceCodeLocationJobFacet,
    ),
    ("job", "sql"): ({"query": "select 1", "dialect": "duckdb"}, facet_v2.sql_job.SQLJobFacet),
    ("job", "tags"): (
        {"tags": [{"key": "team", "value": "risk", "source": "DBT"}]},
        facet_v2.tags_job.TagsJobFacet,
    ),
    ("dataset", "catalog"): (
        {"framework": "iceberg", "type": "jdbc", "name": "lake", "source": "forebay"},
        facet_v2.catalog_dataset.CatalogDatasetFacet,
    ),
    ("dataset", "columnLineage"): (
        {"fields": {"s": {"inputFields": [INPUT_FIELD]}}, "dataset": [INPUT_FIELD]},
        facet_v2.column_lineage_dataset.ColumnLineageDatasetFacet,
    ),
    ("dataset", "dataQualityAssertions"): (
        ASSERTIONS,
        facet_v2.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet,
    ),
    ("dataset", "dataSource"): (
        {"name": "file", "uri": "file"},
        facet_v2.datasource_dataset.DatasourceDatasetFacet,
    ),
    ("dataset", "datasetType"): (
        {"datasetType": "TABLE"},
        facet_v2.dataset_type_dataset.DatasetTypeDatasetFacet,
    ),
    ("dataset", "documentation"): (
        {"description": "payments"},
        facet_v2.documentation_dataset.DocumentationDatasetFacet,
    ),
    ("dataset", "hierarchy"): (
        {"hierarchy": [{"type": "KEYSPACE", "name": "features"}]},
        facet_v2.hierarchy_dataset.HierarchyDatasetFacet,
    ),
    ("dataset", "lifecycleStateChange"): (
        {"lifecycleStateChange": "CREATE"},
        facet_v2.lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet,
    ),
    ("dataset", "ownership"): (OWNERS, facet_v2.ownership_dataset.OwnershipDatasetFacet),
    ("dataset", "schema"): (
        {"fields": [{"name": "a", "type": "long", "ordinal_position": 1}]},
        facet_v2.schema_dataset.SchemaDatasetFacet,
    ),
    ("dataset", "storage"): (
        {"storageLayer": "iceberg", "fileFormat": "parquet"},
        facet_v2.storage_dataset.StorageDatasetFacet,
    ),
    ("dataset", "symlinks"): (
        {"identifiers": [{"namespace": "trino://h:1", "name": "a.b.c", "type": "TABLE"}]},
        facet_v2.symlinks_dataset.SymlinksDatasetFacet,
    ),
    ("dataset", "version"): (
        {"datasetVersion": "848"},
        facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet,
    ),
    ("input", "dataQualityAssertions"): (
        ASSERTIONS,
        facet_v2.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet,
    ),
    ("input", "inputStatistics"): (
        {"rowCount": 3, "size": 10, "fileCount": 1},
        facet_v2.input_statistics_input_dataset.InputStatisticsInputDatasetFacet,
    ),
    ("input", "subset"): (
        {"inputCondition": COMPARE},
        facet_v2.base_subset_dataset.InputSubsetInputDatasetFacet,
    ),
    ("output", "outputStatistics"): (
        {"rowCount": 3, "size": 10},
        facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
    ),
    ("output", "subset"): (
        {"outputCondition": COMPARE},
        facet_v2.base_subset_dataset.OutputSubsetOutputDatasetFacet,
    ),
}


def event(kind: Kind, key: str) -> dict[str, Any]:
    facet = {key: EXAMPLES[kind, key][0]}
    inputs = [
        Dataset("file", "/a", facet if kind == "dataset" else {}, facet if kind == "input" else {})
    ]
    outputs = [Dataset("file", "/b", {}, facet if kind == "output" else {})]
    made = Event(
        "COMPLETE", "2024-01-01T00:00:00+00:00", RUN, facet if kind == "run" else {}, "forebay",
        "a", facet if kind == "job" else {}, inputs, outputs,
    )  # fmt: skip
    return encode_event(made, PRODUCER)


def test_each_facet_has_an_example() -> None:
    assert set(EXAMPLES) == set(SCHEMAS)


@pytest.mark.parametrize(("kind", "key"), SCHEMAS)
def test_a_facet_holds_to_its_schema(kind: Kind, key: str) -> None:
    made = event(kind, key)
    assert f'"{key}":' in json.dumps(made)
    check_event(made)


@pytest.mark.parametrize(("kind", "key"), SCHEMAS)
def test_openlineage_python_writes_the_same(kind: Kind, key: str) -> None:
    fields, theirs = EXAMPLES[kind, key]
    made = Serde.to_dict(theirs(**fields, producer=PRODUCER))
    made = {name: value for name, value in made.items() if value != {}}
    ours = {**fields, "_producer": PRODUCER, "_schemaURL": schema_url(kind, key)}
    if (kind, key) == ("dataset", "columnLineage"):
        made["fields"] = {n: {"inputFields": f["inputFields"]} for n, f in made["fields"].items()}
    assert made == ours


def test_a_schema_that_is_not_the_specifications_is_noticed() -> None:
    made = event("run", "errorMessage")
    del made["run"]["facets"]["errorMessage"]["message"]
    with pytest.raises(Exception, match="'message' is a required property"):
        check_event(made)


def test_the_schemas_are_there() -> None:
    for version, name in SCHEMAS.values():
        assert f"https://openlineage.io/spec/facets/{version}/{name}.json" in schemas()
