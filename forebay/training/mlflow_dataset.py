"""Training sets as MLflow datasets: what decides a set's rows, and a digest of it."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import mlflow
import pyarrow as pa
from mlflow.data.dataset import Dataset
from mlflow.data.dataset_source import DatasetSource

from feature_specs.errors import DataError
from forebay.training.own_rows import OwnRows
from lakehouse.training_record import Record

#: MLflow takes 36 characters.
_DIGITS = 32
_SETTINGS = ("service", "timestamp", "lag_us", "timezone")
_HASHES = ("semantic_hash", "definition_hash", "keys")


class TablesSource(DatasetSource):
    """The tables of a lake at their snapshots, and what was read of them."""

    def __init__(self, source: Record) -> None:
        self._source = source

    @staticmethod
    def _get_source_type() -> str:
        return "forebay"

    def to_dict(self) -> dict[str, Any]:
        return self._source

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> TablesSource:
        return cls(source_dict)

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False  # no path or frame is one

    @classmethod
    def _resolve(cls, raw_source: Any) -> TablesSource:
        raise DataError(
            f"a {type(raw_source).__name__} is not a training set",
            where="MLflow",
            hint="call log_to_mlflow() of a training set",
        )

    def load(self) -> Any:
        raise DataError(
            "MLflow has what a training set was made of, not its rows",
            where="MLflow",
            hint="make the set again: forebay.open(...).training_set(...)",
        )


class TrainingDataset(Dataset):
    """A training set for `mlflow.log_input`."""

    def __init__(self, record: Record, own: OwnRows | None = None) -> None:
        self._record = record
        self._spine = _spine(record, own)
        super().__init__(TablesSource(source_of(record, self._spine)), str(record["service"]))

    def _compute_digest(self) -> str:
        spine = dict(self._spine)
        if "sha256" in spine:
            spine.pop("path", None)  # the same bytes elsewhere are the same rows
        decides = {**source_of(self._record, spine), "features": self._record["features"]}
        text = json.dumps(decides, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]

    @property
    def profile(self) -> dict[str, int]:
        return {"rows": self._record["spine"]["rows"], "features": len(self._record["features"])}

    @property
    def schema(self) -> dict[str, Any]:
        """The features with DuckDB's types, in the form of which MLflow's pages make a table."""
        return {
            "mlflow_colspec": [
                {"name": f["name"], "type": f["type"], "required": False}
                for f in self._record["features"]
            ]
        }

    def to_dict(self) -> dict[str, str]:
        made = {"schema": json.dumps(self.schema), "profile": json.dumps(self.profile)}
        return {**super().to_dict(), **made}


def source_of(record: Record, spine: Record) -> Record:
    """What decides a training set's rows but for its list of features.

    MLflow keeps 65,535 characters of a source, fewer than a thousand features need.
    """
    return {
        **{name: record[name] for name in _SETTINGS},
        "spine": spine,
        "views": {
            name: {key: view[key] for key in _HASHES if key in view}
            for name, view in record["views"].items()
        },
        "leaves": {
            leaf["table"]: {"uuid": leaf["uuid"], "snapshot": leaf["snapshot"]}
            for leaf in record["leaves"].values()
        },
    }


def log_dataset(
    record: Record, own: OwnRows | None, context: str | None, tags: dict[str, str]
) -> Dataset:
    """Log a training set as an input of MLflow's active run, or of one that this starts.

    Raises:
        DataError: a column of the caller's own has no Arrow type.
    """
    made = TrainingDataset(record, own)
    mlflow.log_input(made, context=context, tags=tags or None)
    return made


def _spine(record: Record, own: OwnRows | None) -> Record:
    """What is known of the spine, so that another spine is never taken for it."""
    spine = dict(record["spine"])
    if own is not None:
        # A record's own hash is of keys and instants: not of the labels.
        spine["sha256"] = _hash_rows(own)
    elif "sha256" not in spine:
        # A query's rows are those of tables that move, and nobody has read them yet.
        spine["made_at"] = record["made_at"]
    return spine


class _Hashed(io.RawIOBase):
    """A file that keeps nothing but the hash of its bytes."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return len(data)


def _hash_rows(own: OwnRows) -> str:
    """SHA-256 of all columns' names, types and values, in Arrow's stream format."""
    schema = pa.schema([(name, own.type_of(name)) for name in own.names])
    sink = _Hashed()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), schema) as writer:
        for chunk in own.read(own.names):
            writer.write_table(chunk.cast(schema).combine_chunks(), 65_536)
    return sink.hash.hexdigest()
