"""Training sets as MLflow has them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

import forebay
from forebay.training.mlflow_dataset import TrainingDataset
from tests.forebay.training.conftest import SERVICE


def test_a_run_s_input_says_what_decides_the_rows(
    project: forebay.OpenProject,
    labels: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(tmp_path.joinpath("runs").as_uri())
    made = project.training_set(SERVICE, labels)
    with mlflow.start_run() as run:
        made.log_to_mlflow(tags={"team": "risk"})
    logged = mlflow.get_run(run.info.run_id).inputs
    assert logged is not None
    inputs = logged.dataset_inputs
    assert len(inputs) == 1
    dataset, tags = inputs[0].dataset, {tag.key: tag.value for tag in inputs[0].tags}
    assert (dataset.name, dataset.source_type) == (SERVICE, "forebay")
    assert tags == {"mlflow.data.context": "training", "team": "risk"}
    source = json.loads(dataset.source)
    assert (source["service"], source["spine"]["rows"]) == (SERVICE, 60)
    recorded = made.record["views"]["card_activity"]
    assert source["views"]["card_activity"] == {
        name: recorded[name] for name in ("semantic_hash", "definition_hash")
    }
    snapshots = {leaf["table"]: leaf["snapshot"] for leaf in made.record["leaves"].values()}
    assert {name: leaf["snapshot"] for name, leaf in source["leaves"].items()} == snapshots
    assert None not in snapshots.values()
    assert json.loads(dataset.profile or "") == {"rows": 60, "features": 12}
    columns = json.loads(dataset.schema or "")["mlflow_colspec"]
    assert {column["name"]: column["type"] for column in columns} == made.features
    with mlflow.start_run():
        assert project.training_set(SERVICE, labels).log_to_mlflow().digest == dataset.digest


def test_another_set_has_another_digest(
    project: forebay.OpenProject, labels: pd.DataFrame, shop: Path
) -> None:
    def digest(spine: Any, lag: str | None = None) -> str:
        made = project.training_set(SERVICE, spine, lag=lag)
        return TrainingDataset(made.record, made._own).digest

    disputed = labels.assign(disputed=~labels["disputed"])
    query = "select 8 as customer_id, timestamptz '2026-11-01 00:00Z' as event_timestamp"
    file = shop / "data" / "labels.csv"
    digests = [
        *(digest(spine) for spine in (labels, disputed, labels.iloc[1:], labels.iloc[::-1])),
        digest(labels, lag="1 hour"),
        digest(file),
        # Nobody can tell whether what a query reads has changed since.
        digest(query),
        digest(query),
    ]
    assert len({*digests}) == len(digests)
    assert digest(labels.copy()) == digests[0]
    assert digest(file) == digests[5]


def _moved(record: Any) -> None:
    next(iter(record["leaves"].values()))["snapshot"] += 1


def _ttl(record: Any) -> None:
    record["views"]["last_payment"]["definition_hash"] = "another"


def _role(record: Any) -> None:
    record["views"]["last_payment"]["keys"] = {"customer_id": "payer_id"}


def _retyped(record: Any) -> None:
    record["features"][0]["type"] = "HUGEINT"


def _later(record: Any) -> None:
    record.update(made_at="2030-01-01", forebay="9", git=None)
    record["spine"]["path"] = "elsewhere.csv"
    record["views"]["last_payment"]["snapshot"] = 3


@pytest.mark.parametrize(
    ("change", "differs"),
    [(_moved, True), (_ttl, True), (_role, True), (_retyped, True), (_later, False)],
)
def test_the_digest_is_of_what_decides_the_rows(
    project: forebay.OpenProject, shop: Path, change: Callable[[Any], None], differs: bool
) -> None:
    record = project.training_set(SERVICE, shop / "data" / "labels.csv").record
    changed = copy.deepcopy(record)
    change(changed)
    assert (TrainingDataset(changed).digest != TrainingDataset(record).digest) is differs
