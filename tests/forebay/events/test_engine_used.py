"""Under `--engine`, runs say which engine computed, in the version that it gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from forebay.events.engine_used import engine_of, note_engine
from lakehouse.engines.sql_engine import SqlEngine
from lineage.events.run import Job, job_run
from tests.lineage.events.schemas import read_events


class Spark:
    """Answers as Spark does."""

    def run(self, sql: str, report: object = None) -> list[tuple[Any, ...]]:
        assert sql == "select version()"
        return [("4.1.0 da8a5b1f",)]


@pytest.mark.parametrize("integration", ["FOREBAY", "DBT"])
def test_a_run_names_its_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, integration: str
) -> None:
    monkeypatch.setattr("forebay.events.engine_used._USED", {})
    note_engine("spark", cast("SqlEngine", Spark()))
    assert engine_of("spark") is None  # nobody asks outside of a run
    with job_run(Job("train", "TRAIN", integration), tmp_path, lambda lost: None):
        note_engine("spark", cast("SqlEngine", Spark()))
    end = read_events(tmp_path)[-1]
    found = end["run"]["facets"].get("processing_engine", {})
    # dbt's own run is not computed by it; the feature views in it say so each.
    expected = "spark" if integration == "FOREBAY" else "duckdb"
    assert found.get("name", "duckdb") == expected
    engine = engine_of("spark")
    assert engine == {"name": "spark", "version": "4.1.0"}
