"""`forebay why` of answers whose rows are of one of several builds for one T, or of a stream."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from forebay.dbt_project.project import find_project
from lakehouse.lake import load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.served_by_hand import answered, log_served
from tests.forebay.small import VIEWS, lake_of, make_project
from tests.forebay.why.test_why_command import parts, pay, why

T = datetime(2024, 1, 10, tzinfo=UTC)
ALIASED = VIEWS.replace(
    "{entities: [customer]}", "{entities: [customer], aliases: {total: spent_60d}}", 1
)
ASKED = ("spending.spent_60d", "--key", "customer=a")


def leaf(root: Path) -> int:
    snapshot = load_table(open_lake(lake_of(root)), "raw.payments").current_snapshot()
    assert snapshot is not None
    return snapshot.snapshot_id


@pytest.mark.slow
def test_which_build_of_one_instant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(
        make_project(tmp_path / "shop", {"models/views.yml": ALIASED}), monkeypatch, capsys
    )
    root = shell.folder
    for words in (("build",), ("sync",)):
        assert shell.run(*words) == 0, shell.err
    first = leaf(root)
    # A late payment, and a build for the same T, of which the store knows nothing yet.
    pay(root, 9, "a", 1000)
    assert shell.run("build") == 0, shell.err
    second = leaf(root)
    found = why(shell, *ASKED, "--online")
    assert (found["told"], found["value"], found["agrees"]) == (140, 140, True)
    assert [t["snapshot"] for t in found["tables"]] == [first]
    assert shell.run("sync") == 0, shell.err
    found = why(shell, *ASKED, "--online")
    assert (found["told"], found["value"], found["note"]) == (1140, 1140, "")
    assert [t["snapshot"] for t in found["tables"]] == [second]

    # The last answer is the one that counts, whichever name it was asked by, and however
    # much was answered of others.
    catalog = find_project(root).catalog()
    (name,) = catalog.view("spending").leaves

    def serve(day: int, values: dict[str, Any], **more: Any) -> None:
        row = answered(catalog, "spending", values, T, **more)
        log_served(catalog, "fraud", datetime(2024, 1, day, tzinfo=UTC), [row])

    def served(day: int, code: int = 0) -> dict[str, Any]:
        at = datetime(2024, 1, day, tzinfo=UTC).isoformat()
        return why(shell, *ASKED, "--served", "--at", at, code=code)

    serve(11, {"total": "140"}, leaves=json.dumps({name: first}))
    serve(12, {"spent_60d": "1140"}, leaves=json.dumps({name: second}))
    serve(13, {"payments_60d": 4})
    serve(13, {"spent_60d": "7"}, key=["b"])
    serve(13, {"spent_60d": None}, status="UNAVAILABLE")
    for day, snapshot, total in ((11, first, 140), (13, second, 1140)):
        found = served(day)
        assert (found["told"], found["value"], found["note"]) == (total, total, "")
        assert [t["snapshot"] for t in found["tables"]] == [snapshot]
    assert parts(served(11))[0][0] == 80

    # Two builds read two states of the payments for that T, and nothing says which one this was.
    serve(14, {"total": "140"})
    found = served(14, code=1)
    assert (found["told"], found["value"]) == (140, 1140) and "is not known" in found["note"]
