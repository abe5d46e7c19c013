"""Training sets of the small project's service `fraud`, beside brute force over its payments."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow.parquet as pq

from lakehouse.lake import load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.small import lake_of

START = datetime(2024, 1, 1, tzinfo=UTC)
FEATURES = (
    "spending__payments_60d",
    "spending__spent_60d",
    "spending__most_60d",
    "last_payment__amount",
)
#: Customer, instant, label.
Row: TypeAlias = tuple[str, datetime, int]


def true_features(customer: str, at: datetime, paid: list[dict[str, Any]]) -> tuple[Any, ...]:
    """By looking at each payment, without any code of ours."""
    seen = [p for p in paid if p["customer"] == customer and p["paid_at"] <= at]
    recent = [p["amount"] for p in seen if p["paid_at"] > at - timedelta(days=60)]
    last = max(seen, key=lambda p: p["paid_at"], default=None)
    fresh = last is not None and last["paid_at"] >= at - timedelta(days=7)
    sums = (len(recent), sum(recent), max(recent)) if recent else (None, None, None)
    return (*sums, last["amount"] if last is not None and fresh else None)


def draw(rows: int, seed: int) -> list[Row]:
    drawn = random.Random(seed)
    return [
        (drawn.choice("abc"), START + timedelta(minutes=drawn.randrange(20_000)), n % 5)
        for n in range(rows)
    ]


def write_spine(path: Path, rows: Iterable[Row]) -> Path:
    lines = [f"{customer},{at.isoformat()},{label}" for customer, at, label in rows]
    path.write_text("\n".join(["customer,at,label", *lines]) + "\n")
    return path


def train(shell: Shell, spine: Path, out: str) -> None:
    words = ("train", "fraud", "--spine", str(spine), "--timestamp", "at", "--out", out)
    assert shell.run(*words) == 0, shell.out + shell.err


def start(shell: Shell, rows: Iterable[Row]) -> None:
    train(shell, write_spine(shell.folder / "first.csv", rows), "a.parquet")


def append(shell: Shell, rows: Iterable[Row], *more: str) -> tuple[int, int, int]:
    spine = str(write_spine(shell.folder / "more.csv", rows))
    words = ("train", "fraud", "--spine", spine, "--append", "--out", "a.parquet", "--json", *more)
    assert shell.run(*words) == 0, shell.out + shell.err
    told = json.loads(shell.out)
    return told["added"], told["known"], told["rows"]


def rows_of(shell: Shell) -> list[tuple[Any, ...]]:
    table = pq.read_table(shell.folder / "a.parquet")
    return list(
        zip(*(table[n].to_pylist() for n in ("customer", "at", "label", *FEATURES)), strict=True)
    )


def paid_now(shell: Shell) -> list[dict[str, Any]]:
    table = load_table(open_lake(lake_of(shell.folder)), "raw.payments")
    return list(table.scan().to_arrow().to_pylist())
