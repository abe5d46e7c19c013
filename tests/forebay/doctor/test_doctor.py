"""``forebay doctor``: a whole project is found whole, and each fault is named with what to do."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from forebay.dbt_project.project import Project
from forebay.doctor import check_clocks, check_space, check_versions
from forebay.doctor.check import Diagnosis
from lakehouse.drop_table import drop_table
from lakehouse.lake import load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.small import edit, lake_of, make_project

PAST = 'vars: {forebay_now: "2024-01-10 00:00:00+00:00"}'


def examined(shell: Shell, *words: str, code: int = 0) -> list[Diagnosis]:
    assert shell.run("doctor", "--json", *words) == code, shell.out + shell.err
    return [Diagnosis(**each) for each in json.loads(shell.out)]


def wrong(found: list[Diagnosis]) -> dict[str, list[str]]:
    """What is not ok, by check. Each says what to do."""
    out: dict[str, list[str]] = {}
    for each in found:
        assert bool(each.hint) == (each.status != "ok"), each
        if each.status != "ok":
            out.setdefault(f"{each.status} {each.check}", []).append(each.said)
    return out


@pytest.fixture
def bare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """A shell in a project that was never compiled, at the present."""
    make_project(tmp_path)
    edit(tmp_path, "dbt_project.yml", PAST, "vars: {}")
    return Shell(tmp_path, monkeypatch, capsys)


def test_a_new_project_lacks_nothing_but_what_comes_next(bare: Shell) -> None:
    assert list(wrong(examined(bare))) == ["warn compiled", "warn store"]
    assert not list(bare.folder.rglob(".forebay_doctor_*"))
    examined(bare, "--strict", code=1)


def test_people_are_told_line_by_line(bare: Shell) -> None:
    assert bare.run("doctor") == 0
    assert "warn  compiled: nothing is compiled yet\n      Hint: run `forebay compile`" in bare.out
    assert bare.out.splitlines()[-1] == "0 failures, 2 warnings"


def test_outside_of_a_project_the_machine_is_still_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = examined(Shell(tmp_path, monkeypatch, capsys), code=1)
    assert [(f.check, f.status) for f in found] == [("versions", "ok"), ("project", "fail")]
    assert "forebay init" in found[1].hint


@pytest.mark.parametrize(
    ("now", "status", "said"),
    [
        ("2024-01-10 00:00:00+00:00", "warn", "days ago: every run is at that instant"),
        ("2999-01-01 00:00:00+00:00", "fail", "still to come"),
        ("last tuesday", "fail", "last tuesday"),
    ],
)
def test_a_clock_that_is_set(bare: Shell, now: str, status: str, said: str) -> None:
    edit(bare.folder, "dbt_project.yml", "vars: {}", f'vars: {{forebay_now: "{now}"}}')
    found = wrong(examined(bare, code=1 if status == "fail" else 0))
    (line,) = found[f"{status} clock"]
    assert said in line


def test_all_that_the_setup_lacks_is_said_and_places_are_left(bare: Shell) -> None:
    edit(bare.folder, "dbt_project.yml", "macro-paths: [macros, target/forebay/macros]\n", "")
    edit(bare.folder, "profiles/profiles.yml", "            online: lmdb://online.lmdb\n", "")
    found = examined(bare, code=1)
    told = wrong(found)
    assert list(told) == ["fail project", "fail profile"]
    assert "macro-paths lacks" in told["fail project"][0]
    assert "no 'online'" in told["fail profile"][0]
    assert {f.check for f in found} == {"versions", "project", "profile", "clock"}


def test_a_damaged_table_stops_no_other_check(bare: Shell) -> None:
    table = load_table(open_lake(lake_of(bare.folder)), "raw.payments")
    Path(table.metadata_location.removeprefix("file://")).unlink()
    found = examined(bare, code=1)
    (said,) = wrong(found)["fail lake"]
    assert "raw.payments" in said, said
    assert found[-1].check == "store"


def test_a_data_file_that_is_gone_is_named(bare: Shell) -> None:
    (file,) = (bare.folder / "lake/warehouse/raw/payments/data").rglob("*.parquet")
    file.unlink()
    (said,) = wrong(examined(bare, code=1))["fail lake"]
    assert "raw.payments" in said and "1 file " in said and str(file) in said


@pytest.mark.slow
def test_what_was_compiled_and_is_damaged_is_told_and_compiling_mends_it(bare: Shell) -> None:
    assert bare.run("compile") == 0, bare.err
    folder = bare.folder / "target/forebay"
    whole = {n: (folder / n).read_bytes() for n in ("catalogue.json", "lineage.json")}
    for name, text in whole.items():
        for damaged in (b"\xff\xfe", b'{"format": 1}', b"[]", None):
            (folder / name).write_bytes(damaged or b"")
            if damaged is None:
                (folder / name).unlink()
            (said,) = wrong(examined(bare))["warn compiled"]
            assert str(folder / name) in said
            if name == "catalogue.json":
                assert "run `forebay compile`" in bare.refused("catalogue", "--out", "site")
                assert not (bare.folder / "site").exists()
            else:
                assert "run `forebay compile`" in bare.refused("lineage", "spending")
            assert bare.run("compile") == 0, bare.err
            assert (folder / name).read_bytes() == text
    (folder / "catalog.json").write_bytes(b"\xff\xfe")
    assert "catalog.json: not JSON" in wrong(examined(bare, code=1))["fail compiled"][0]
    assert bare.run("compile") == 0, bare.err
    assert set(wrong(examined(bare))) == {"warn built", "warn store"}


@pytest.mark.slow
def test_what_is_built_is_compared_with_what_is_compiled(bare: Shell) -> None:
    for words in (("build",), ("sync",)):
        assert bare.run(*words) == 0, bare.out + bare.err
    assert wrong(examined(bare)) == {}
    sql = bare.folder / "models/spending.sql"
    sql.write_text(sql.read_text().replace("'60' day", "'61' day"))
    (changed,) = wrong(examined(bare))["warn compiled"]
    assert "spending" in changed
    assert bare.run("compile") == 0
    told = wrong(examined(bare))
    assert list(told) == ["warn built", "warn store"]
    assert told["warn built"] == ["built from another query than the one compiled: spending"]
    assert "spending" in told["warn store"][0] and "last_payment" not in told["warn store"][0]
    drop_table(open_lake(lake_of(bare.folder)), "raw.payments")
    told = wrong(examined(bare, code=1))
    assert told["fail built"] == ["table raw.payments is missing, and feature views read it"]


def test_a_commit_of_the_future(bare: Shell) -> None:
    project = Project(bare.folder)
    now = datetime.now(UTC)
    assert list(check_clocks.check_written(project, now)) == []
    (found,) = check_clocks.check_written(project, now - timedelta(hours=1))
    assert found.status == "fail" and "raw.payments" in found.said and "NTP" in found.hint


def test_space_is_looked_at_where_it_is_written(
    bare: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(bare.folder)
    for free, status in ((10**6, "fail"), (10**9, "warn"), (10**10, "ok")):
        usage = SimpleNamespace(total=10**12, used=0, free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda place, u=usage: u)
        assert {f.status for f in check_space.check_space(project)} == {status}


def test_what_may_not_be_written_to(bare: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(bare.folder)
    warehouse = bare.folder / "lake/warehouse"
    monkeypatch.setattr("os.access", lambda place, mode: Path(place) != warehouse)
    (found,) = check_space.check_permissions(project)
    assert found.status == "fail" and str(warehouse) in found.said
    monkeypatch.undo()
    (bare.folder / "online.lmdb").write_text("a file")
    (found,) = check_space.check_permissions(project)
    assert found.status == "fail" and "is not a folder" in found.said
    (bare.folder / "online.lmdb").unlink()
    profile = bare.folder / "profiles/profiles.yml"
    profile.chmod(0o666)
    (found,) = check_space.check_permissions(project)
    assert found.status == "warn" and f"chmod o-w {profile}" in found.hint


def test_versions_are_those_that_forebay_names(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {r.name for r in check_versions.requirements()}
    assert {"duckdb", "pyiceberg", "dbt-core"} <= named and "pyspark" not in named
    monkeypatch.setattr(
        check_versions, "version", lambda name: "1.0.0" if name == "duckdb" else version(name)
    )
    found = [f for f in check_versions.check_versions() if f.status == "fail"]
    assert [f.said for f in found] == ["duckdb is 1.0.0, and forebay needs >=2.0"]
    assert found[0].hint == "run `pip install 'duckdb>=2.0'`"


def test_a_client_that_the_profile_needs(bare: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(bare.folder, "profiles/profiles.yml", "lmdb://online.lmdb", "cql://localhost/features")
    monkeypatch.setattr(check_versions, "find_spec", lambda module: None)
    (found,) = check_versions.check_extras(Project(bare.folder))
    assert found.hint == "run `pip install 'forebay[scylla]'`"
