"""`forebay plan --against`: a git ref, a manifest; and what past runs say of the next."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lakehouse.feature_tables.past_runs import RUNS_PROPERTY, PastRun, read_runs
from lakehouse.lake import load_table, open_lake
from lineage.compare_definitions import services_hit
from tests.forebay.conftest import Shell
from tests.forebay.small import edit, lake_of, make_project


def plan(shell: Shell, *words: str, code: int = 0) -> dict[str, Any]:
    assert shell.run("plan", "--json", *words) == code, shell.err
    found: dict[str, Any] = json.loads(shell.out)
    return {**found, "views": {p["view"]: p for p in found["views"]}}


def git(root: Path, *words: str) -> None:
    config = ["-c", "user.name=x", "-c", "user.email=x@x.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *config, *words], cwd=root, check=True, capture_output=True)


@pytest.mark.slow
def test_against_a_git_ref_and_a_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The project is a folder of its repository, as in many a company's.
    shell = Shell(make_project(tmp_path / "repo" / "shop"), monkeypatch, capsys)
    root = shell.folder
    (root / ".gitignore").write_text("target/\nlake/\n")
    git(root.parent, "init", "-q", "-b", "main")
    git(root.parent, "add", ".")
    git(root.parent, "commit", "-qm", "first")
    assert shell.run("compile") == 0, shell.err
    kept = tmp_path / "manifest.json"
    shutil.copy(root / "target" / "forebay" / "manifest.json", kept)

    for against in ("main", str(kept)):
        found = plan(shell, "--against", against)
        assert {n: p["change"] for n, p in found["views"].items()} == {
            "spending": "unchanged",
            "last_payment": "unchanged",
        }
        # What is recomputed follows from the tables, of which there are none.
        assert {p["recompute"] for p in found["views"].values()} == {"full"}

    edit(root, "models/spending.sql", "as most_60d", "as largest_60d")
    last = root / "models" / "views.yml"
    edit(root, "models/views.yml", "ttl: 7 days", "ttl: 1 day")
    for against in ("HEAD", str(kept)):
        found = plan(shell, "--against", against, "--fail-on", "breaking", code=1)
        spending = found["views"]["spending"]
        assert spending["columns"] == ["+largest_60d", "-most_60d"]
        assert spending["breaks"] == ["fraud.most_60d"]
        (ttl,) = found["views"]["last_payment"]["changes"]
        assert (ttl["what"], ttl["old"], ttl["new"]) == ("ttl", "7 days", "1 day")
        (line,) = found["sections"]["breaking"]
        assert "fraud" in line and "spending.most_60d" in line
    # A view that is gone, and the first comparison is with what was built: nothing.
    last.write_text(last.read_text().replace("  - name: last_payment\n", "  - name: latest\n", 1)
                    .replace("ref('last_payment')", "ref('latest')")
                    .replace("last_payment.amount", "latest.amount"))  # fmt: skip
    (root / "models/last_payment.sql").rename(root / "models/latest.sql")
    found = plan(shell, "--against", "main")
    changes = {n: p["change"] for n, p in found["views"].items()}
    assert changes == {"spending": "changed", "latest": "new", "last_payment": "removed"}
    refused = shell.refused("plan", "--against", "no-such-branch")
    assert "neither a file nor a git ref" in refused
    assert "no manifest of dbt's" in shell.refused(
        "plan", "--against", str(root / "dbt_project.yml")
    )
    assert not list(root.parent.glob("**/forebay-against-*"))


@pytest.mark.slow
def test_the_estimate_follows_the_last_run_and_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(make_project(tmp_path / "shop"), monkeypatch, capsys)
    assert all(p["seconds"] is None for p in plan(shell)["views"].values())
    assert shell.run("build") == 0, shell.err
    log = load_table(open_lake(lake_of(shell.folder)), "main.spending__history")
    runs = read_runs(log)
    assert set(runs) == {"full"} and runs["full"].rows == 8 and runs["full"].seconds > 0
    # As if it had taken ten seconds for a fourth of the rows.
    known = json.dumps({"full": {"seconds": 10.0, "rows": 2}, "step": {"seconds": 3.0, "rows": 2}})
    with log.transaction() as change:
        change.set_properties({RUNS_PROPERTY: known})
    assert plan(shell, "--full-refresh")["views"]["spending"]["seconds"] == 40.0
    found = plan(shell, "--now", "2024-01-11T00:00:00Z")
    assert found["views"]["spending"]["seconds"] == 3.0
    assert any("about 3 s" in line for line in found["sections"]["backfill"]), found["sections"]
    assert shell.run("build", "--now", "2024-01-11T00:00:00Z") == 0, shell.err
    runs = read_runs(load_table(open_lake(lake_of(shell.folder)), "main.spending__history"))
    assert runs["full"] == PastRun(10.0, 2) and runs["step"] != PastRun(3.0, 2)


def test_request_values_that_callers_have_to_send_break_those_who_read_what_needs_them() -> None:
    old = {
        **dict.fromkeys(("event_time", "boundary", "ttl"), None),
        "entities": ["k"], "tie_break": [], "compiler": 1, "keys": {}, "queries": {}, "leaves": {},
        "features": {n: {"sql": n, "type": "DOUBLE", "at_reading": True} for n in ("a", "b", "c")},
        "services": {"one": ["a", "b"], "two": ["c"]},
        "requests": {"b": {"amount": "DOUBLE"}},
    }  # fmt: skip

    def hit(requests: dict[str, dict[str, str]]) -> dict[str, tuple[str, ...]]:
        found = services_hit(old, {**old, "requests": requests})
        return {str(change): services for change, services in found.items()}

    assert hit({"b": {"amount": "DOUBLE"}}) == {}
    # Feature a asks for what callers of the service send already.
    assert hit({"a": {"amount": "DOUBLE"}, "b": {"amount": "DOUBLE"}}) == {}
    assert hit({"b": {"amount": "BIGINT"}}) == {"request value amount: DOUBLE -> BIGINT": ("one",)}
    assert hit({"b": {"amount": "DOUBLE"}, "c": {"amount": "DOUBLE"}}) == {
        "request value amount: added DOUBLE": ("two",)
    }
    assert hit({}) == {"request value amount: removed DOUBLE": ("one",)}
    # An earlier forebay did not record them.
    known = {name: part for name, part in old.items() if name != "requests"}
    assert services_hit(known, {**old, "requests": {"c": {"x": "DOUBLE"}}}) == {}
