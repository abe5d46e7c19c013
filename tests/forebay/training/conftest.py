"""The small project opened from Python, and brute force over its files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import forebay
from tests.forebay.conftest import Shell
from tests.forebay.small import make_project

SERVICE = "dispute_risk_v1"
COUNT, LAST = "card_activity__payments_30d", "last_payment__last_amount_cents"


@dataclass(frozen=True)
class Oracle:
    """Two features of the small project by looking at each of its payments for each row."""

    payments: list[dict[str, str]]

    def of(self, customer: Any, at: datetime | None) -> tuple[int | None, int | None]:
        """Payments of 30 days, and the amount of the last one that was not declined."""
        if customer is None or at is None:
            return None, None
        seen = [
            p
            for p in self.payments
            if int(p["customer_id"]) == customer
            and datetime.fromisoformat(p["paid_at"]) <= at
            and datetime.fromisoformat(p["loaded_at"]) <= at
        ]
        of_30_days = [
            p for p in seen if datetime.fromisoformat(p["paid_at"]) > at - timedelta(days=30)
        ]
        taken = [p for p in seen if p["declined"] == "false"]
        last = max(taken, key=lambda p: (p["paid_at"], int(p["payment_id"])), default=None)
        fresh = last and datetime.fromisoformat(last["paid_at"]) >= at - timedelta(days=90)
        return (
            len(of_30_days) if of_30_days else None,
            int(last["amount_cents"]) if last and fresh else None,
        )


@pytest.fixture(scope="session")
def oracle(shop: Path) -> Oracle:
    with (shop / "data" / "payments.csv").open() as file:
        return Oracle(list(csv.DictReader(file)))


@pytest.fixture(scope="session")
def project(shop: Path) -> Iterator[forebay.OpenProject]:
    with forebay.open(shop) as opened:
        yield opened


@pytest.fixture(scope="session")
def labels(shop: Path) -> pd.DataFrame:
    """60 of the project's labels out of order, under an index that says nothing of it."""
    read = pd.read_csv(shop / "data" / "labels.csv", parse_dates=["event_timestamp"])
    return read.sample(60, random_state=3).set_index("payment_id").sort_index(ascending=False)


@pytest.fixture
def fraud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """The small project with its service `fraud`, compiled."""
    made = Shell(make_project(tmp_path), monkeypatch, capsys)
    assert made.run("compile") == 0, made.err
    return made
