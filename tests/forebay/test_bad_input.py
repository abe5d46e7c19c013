"""Every mistake is one line that says what, where and how to fix it; exit code 2, nothing written."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.forebay.conftest import Shell

pytestmark = pytest.mark.slow


def edit(shell: Shell, file: str, before: str, after: str) -> None:
    path = shell.folder / file
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def nothing_compiled(shell: Shell) -> bool:
    return not (shell.folder / "target" / "forebay" / "catalog.json").exists()


def test_leaf_without_time_role(broken: Shell) -> None:
    edit(
        broken, "models/sources.yml", "          event_time: observed_at\n", "          meta: {}\n"
    )
    line = broken.refused("compile")
    assert "weather" in line and "no declared time role" in line
    assert "models/sources.yml" in line and "event_time" in line
    assert nothing_compiled(broken)


def test_random(broken: Shell) -> None:
    edit(broken, "models/features/origin_weather.sql", "temp,", "temp + random() as temp,")
    line = broken.refused("compile")
    assert "rand" in line and "models/features/origin_weather.sql" in line
    assert nothing_compiled(broken)


def test_unknown_column(broken: Shell) -> None:
    edit(broken, "models/features/origin_weather.sql", "temp,", "tempp as temp,")
    line = broken.refused("compile")
    assert "tempp" in line and "did you mean" in line


def test_sql_that_does_not_parse(broken: Shell) -> None:
    edit(broken, "models/features/origin_weather.sql", "from", "from from")
    assert "models/features/origin_weather.sql" in broken.refused("compile")


def test_broken_yaml_field(broken: Shell) -> None:
    edit(broken, "models/features/features.yml", "freshness: 1 hour", "freshness: soon")
    line = broken.refused("compile")
    assert "freshness" in line and "'soon'" in line and "models/features/features.yml:" in line


def test_unknown_yaml_field(broken: Shell) -> None:
    edit(broken, "models/features/features.yml", "freshness: 1 hour", "freshnes: 1 hour")
    assert "did you mean 'freshness'" in broken.refused("compile")


def test_service_lists_unknown_feature(broken: Shell) -> None:
    edit(broken, "models/training/training.yml", "last_origin", "last_orgin")
    line = broken.refused("compile")
    assert "last_orgin" in line and "last_origin" in line


def test_missing_table(broken: Shell) -> None:
    edit(broken, "models/sources.yml", "iceberg_table: nyc.flights", "iceberg_table: nyc.flihgts")
    line = broken.refused("compile")
    assert "nyc.flihgts" in line and "forebay ingest" in line


def test_nothing_compiled_yet(broken: Shell) -> None:
    assert "forebay compile" in broken.refused("sync")


def test_unknown_command(shell: Shell) -> None:
    assert "did you mean 'compile'" in shell.refused("complie")


def test_unknown_view(shell: Shell) -> None:
    assert "did you mean 'origin_weather'" in shell.refused("explain", "origin_wether")


def test_no_project(shell: Shell, tmp_path: Path) -> None:
    shell.folder = tmp_path
    assert "forebay init" in shell.refused("compile")


def test_init_over_something(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    assert "something is there" in shell.refused("init", str(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


def spine(path: Path, columns: str) -> Path:
    duckdb.sql("set timezone = 'UTC'")
    duckdb.sql(f"copy (select {columns}) to '{path}' (format parquet)")
    return path


KEYS = "'JFK' as origin, 'LAX' as dest, 'AA' as carrier, 'N327AA' as tailnum"
INSTANT = "timestamptz '2013-12-01 12:00+00' as ts"


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            f"{KEYS.replace(chr(39) + 'AA' + chr(39) + ' as carrier', '1 as nothing')}, {INSTANT}",
            "lacks key 'carrier'",
        ),
        (f"{KEYS.replace(chr(39) + 'AA' + chr(39), '7')}, {INSTANT}", "is a INTEGER"),
        (f"{KEYS}, timestamp '2013-12-01 12:00' as ts", "no time zone"),
        (f"{KEYS}, 5 as ts", "0 time columns"),
        (f"{KEYS}, 'infinity' as event_timestamp", "the instant 'event_timestamp' is a VARCHAR"),
        (
            f'{KEYS}, now() as ts, 1 as "Origin_Departures__departures_7d"',
            "is named like a feature",
        ),
    ],
)
def test_spine(shell: Shell, tmp_path: Path, columns: str, said: str) -> None:
    out = tmp_path / "out.parquet"
    given = spine(tmp_path / "spine.parquet", columns)
    line = shell.refused("train", "arrival_delay_v1", "--spine", str(given), "--out", str(out))
    assert said in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [("spine.parquet", "would replace its own spine"), ("set.csv", "name it set.parquet")],
)
def test_a_training_set_is_another_file_and_parquet(
    shell: Shell, tmp_path: Path, name: str, said: str
) -> None:
    given = spine(tmp_path / "spine.parquet", f"{KEYS}, {INSTANT}")
    before = given.read_bytes()
    out = tmp_path / name
    line = shell.refused("train", "arrival_delay_v1", "--spine", str(given), "--out", str(out))
    assert said in line
    assert given.read_bytes() == before and sorted(tmp_path.glob("s*")) == [given]


def test_spine_missing_or_not_parquet(shell: Shell, tmp_path: Path) -> None:
    none = tmp_path / "none.parquet"
    assert "no such file" in shell.refused("train", "arrival_delay_v1", "--spine", str(none))
    none.write_text("not parquet")
    assert "cannot be read" in shell.refused("train", "arrival_delay_v1", "--spine", str(none))


def test_instant_without_zone(shell: Shell) -> None:
    line = shell.refused("preview", "origin_weather", "--key", "origin=JFK", "--at", "2013-12-01")
    assert "no time zone" in line


def test_a_key_given_twice(shell: Shell) -> None:
    keys = ("--key", "origin=JFK", "--key", "ORIGIN=LGA")
    line = shell.refused("preview", "origin_weather", *keys, "--at", "2013-12-01T00:00:00Z")
    assert "--key: 'ORIGIN' is given twice" in line
