"""`forebay verify` says of every kind of difference that it is of that kind, and why."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from feature_specs.instants import epoch_us
from forebay.commands.build import build
from forebay.dbt_project.project import Project, find_project
from forebay.why import source_rows
from forebay.why.explain_differences import Explained, explain_differences
from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake
from serving.state import load_state
from serving.stores import StoredView, open_store
from serving.sync import sync
from serving.verify import verify
from tests.forebay.small import lake_of, make_project
from tests.serving.stored_rows import encode_row


def day(number: int, month: int = 1, hour: int = 0) -> datetime:
    return datetime(2024, month, number, hour, tzinfo=UTC)


def pay(project: Project, at: datetime, customer: str, amount: int) -> None:
    rows = pa.table(
        {
            "customer": pa.array([customer], pa.string()),
            "paid_at": pa.array([at], pa.timestamp("us", tz="UTC")),
            "amount": pa.array([amount], pa.int64()),
        }
    )
    commit_rows(open_lake(lake_of(project.root)), "raw.payments", rows, mode="append")


def explained(project: Project) -> dict[tuple[str, str | None], Explained]:
    catalog = project.catalog()
    found = explain_differences(project, catalog, verify(catalog, ["spending"]))
    return {(e.difference.key[0], e.difference.column): e for e in found}


def causes(found: Explained) -> list[tuple[str, str, datetime]]:
    """Change, customer and time of each source row."""
    return sorted((c.change, c.row["customer"], c.row["paid_at"]) for c in found.causes)


def change_store(
    project: Project,
    rows: list[tuple[bytes, bytes]],
    deleted: list[bytes],
    **changed: Any,
) -> None:
    """Write rows and delete keys of ``spending``, and change the state that the store has of it."""
    view = StoredView.of(project.catalog().view("spending"))
    with closing(open_store(project.catalog().online)) as store:
        state = load_state(store.get_state(view))
        assert state is not None
        store.write(view, rows, deleted, replace(state, **changed).dumps(), replace=False)


@pytest.mark.slow
def test_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = find_project(make_project(tmp_path / "shop"))
    build(project, quiet=True)
    sync(project.catalog())
    assert explained(project) == {}

    change_store(project, [(b"a", encode_row(None, ["4", "141", "80"]))], [b"b"])
    found = explained(project)
    assert {key: e.kind for key, e in found.items()} == {
        ("a", "spent_60d"): "wrong",
        ("b", None): "lost",
    }

    shutil.rmtree(project.root / "online.lmdb")
    sync(project.catalog())
    pay(project, day(9), "a", 5)
    pay(project, day(10, hour=12), "c", 7)
    build(project, now="2024-01-11T00:00:00+00:00", quiet=True)
    found = explained(project)
    assert {key: e.kind for key, e in found.items()} == {
        ("a", "payments_60d"): "late row",
        ("a", "spent_60d"): "late row",
        ("c", None): "stale sync",
    }
    assert causes(found["a", "spent_60d"]) == [("late", "a", day(9))]
    assert causes(found["c", None]) == [("came", "c", day(10, hour=12))]

    # Of more rows than are looked at nobody knows which ones came: a has five, c one.
    monkeypatch.setattr(source_rows, "LOOKED_AT", 4)
    found = explained(project)
    assert (found["a", "spent_60d"].kind, found["a", "spent_60d"].causes) == ("stale sync", ())
    assert "cannot be traced" in found["a", "spent_60d"].why
    assert causes(found["c", None]) == [("came", "c", day(10, hour=12))]
    monkeypatch.undo()

    sync(project.catalog())
    payments = load_table(open_lake(lake_of(project.root)), "raw.payments")
    payments.delete(f"customer = 'b' and paid_at = '{day(3).isoformat()}'")
    build(project, now="2024-01-11T00:00:00+00:00", quiet=True)
    found = explained(project)
    assert {key: e.kind for key, e in found.items()} == {
        ("b", name): "late row" for name in ("payments_60d", "spent_60d")
    }
    assert causes(found["b", "spent_60d"]) == [("removed", "b", day(3))]
    assert "removed" in found["b", "spent_60d"].why

    sync(project.catalog())
    build(project, now="2024-03-05T00:00:00+00:00", quiet=True)
    found = explained(project)
    assert {e.kind for e in found.values()} == {"expired"}
    assert causes(found["b", "payments_60d"]) == [("gone", "b", day(n)) for n in (1, 2)]
    assert found["b", "payments_60d"].total == 2

    sync(project.catalog())
    assert explained(project) == {}

    # A stream puts its rows online ahead of the build, and nothing of them is in the log.
    pay(project, day(5, month=3, hour=12), "c", 9)
    leaf = load_table(open_lake(lake_of(project.root)), "raw.payments").current_snapshot()
    (name,) = project.catalog().view("spending").leaves
    assert leaf is not None
    ahead = {"at": epoch_us(day(6, month=3)), "leaves": {name: leaf.snapshot_id}}
    rows = [(b"c", encode_row(None, ["2", "16", "9"])), (b"b", encode_row(None, ["7", "7", "7"]))]
    change_store(project, rows, [], **ahead)
    found = explained(project)
    assert {key[0]: e.kind for key, e in found.items()} == {"c": "stale sync", "b": "wrong"}
    assert "ahead of the build" in found["c", "spent_60d"].why

    row = encode_row(None, ["9", "9", "9"])
    change_store(project, [(b"a", row)], [], semantic_hash="another")
    assert {e.kind for e in explained(project).values()} == {"other meaning"}
