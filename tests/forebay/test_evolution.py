"""A project that changes between builds: dbt's cache, plain dbt, and data that breaks a promise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from forebay.scaffold.example import copy_example
from tests.forebay.conftest import Shell

pytestmark = pytest.mark.slow


@pytest.fixture
def own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """A shell in a project of its own, ingested and built."""
    copy_example(tmp_path / "own")
    shell = Shell(tmp_path / "own", monkeypatch, capsys)
    assert shell.run("ingest", "--example", "flights") == 0
    assert shell.run("build", "--now", "2013-12-20T10:00:00Z") == 0
    return shell


def columns_of(shell: Shell, table: str) -> list[str]:
    with duckdb.connect(shell.folder / "target" / "flights.duckdb", read_only=True) as connection:
        return [row[0] for row in connection.execute(f"describe {table}").fetchall()]


def dbt(shell: Shell, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("dbt")), *words, "--profiles-dir", "profiles"]
    return subprocess.run(
        command, cwd=shell.folder, capture_output=True, text=True, env={**os.environ}, check=False
    )


def test_a_new_feature_reaches_table_and_training_set(own: Shell) -> None:
    view = own.folder / "models/features/origin_weather.sql"
    view.write_text(view.read_text().replace("visib", "visib, temp * 2 as twice_temp", 1))
    yaml = own.folder / "models/features/features.yml"
    marker = "      - {name: visib,"
    text = yaml.read_text()
    assert marker in text
    yaml.write_text(
        text.replace(
            marker, "      - {name: twice_temp, description: Twice., data_type: double}\n" + marker
        )
    )
    assert own.run("compile") == 0
    # Plain dbt, with its cache of the earlier parse: it must see that the training set changed.
    done = dbt(own, "build")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "twice_temp" in columns_of(own, "main.origin_weather")
    assert "origin_weather__twice_temp" in columns_of(own, "main.arrival_delay_v1")
    assert own.run("sync") == 0
    assert own.run("verify") == 0


def test_dbt_clean_then_dbt_build_says_what_to_run(own: Shell) -> None:
    assert dbt(own, "clean").returncode == 0
    done = dbt(own, "build")
    assert done.returncode != 0
    assert "forebay compile" in done.stdout


def test_two_rows_for_one_entity_stop_the_build_and_change_nothing(own: Shell) -> None:
    extra = own.folder / "more.csv"
    extra.write_text(
        "tailnum,manufactured,type,manufacturer,model,engines,seats,speed,engine\n"
        "N10156,1999,Fixed wing multi engine,BOEING,737,2,150,,Turbo-fan\n"
    )
    assert own.run("ingest", "nyc.planes", str(extra)) == 0
    line = own.refused("build", "--select", "aircraft_profile")
    assert "two rows for one entity" in line and "aircraft_profile" in line
    assert own.run("sync") == 0  # the table still holds the last good build


def test_a_contract_that_the_query_breaks_is_refused(own: Shell) -> None:
    yaml = own.folder / "models/features/features.yml"
    text = yaml.read_text()
    assert (
        'max_dep_delay_1h, description: "Most minutes late at departure, last hour.", data_type: integer'
        in text
    )
    yaml.write_text(
        text.replace('last hour.", data_type: integer', 'last hour.", data_type: varchar')
    )
    line = own.refused("build")
    assert "contract" in line.lower()
