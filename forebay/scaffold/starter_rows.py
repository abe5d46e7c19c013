"""The starter project's rows: customers, their card payments, and labels to train on.

The same for the same instant. They end at that instant, so that a new project has fresh features.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

CUSTOMERS = 60
PAYMENTS = 600
#: How far back payments go, and from which age on it is known which were disputed.
PAST = timedelta(days=60)
SETTLED = timedelta(days=10)

_COUNTRIES = ("AT", "DE", "FR", "IT", "NL")
_CATEGORIES = ("fuel", "groceries", "online", "restaurant", "travel")


@dataclass(frozen=True)
class Customer:
    customer_id: int
    country: str
    plan: str
    signed_up_at: datetime


@dataclass(frozen=True)
class Payment:
    payment_id: int
    customer_id: int
    category: str
    country: str
    amount_cents: int
    declined: bool
    paid_at: datetime
    loaded_at: datetime


@dataclass(frozen=True)
class Label:
    """A payment of which it is known by now whether it was disputed, and when it was paid."""

    payment_id: int
    customer_id: int
    event_timestamp: datetime
    disputed: bool


def starter_files(now: datetime) -> dict[str, bytes]:
    """CSV files of the rows as they stand at an instant, by path in the project."""
    draw = random.Random(20)
    now = now.astimezone(UTC).replace(microsecond=0)
    customers = list(_customers(draw, now))
    payments = list(_payments(draw, now, customers))
    labels = list(_labels(draw, now, customers, payments))
    return {
        "data/customers.csv": _csv(customers),
        "data/payments.csv": _csv(payments),
        "data/labels.csv": _csv(labels),
    }


def _customers(draw: random.Random, now: datetime) -> Iterator[Customer]:
    for number in range(1, CUSTOMERS + 1):
        signed_up_at = now - PAST - timedelta(hours=draw.randrange(24 * 700))
        yield Customer(
            number, draw.choice(_COUNTRIES), draw.choice(("basic", "plus")), signed_up_at
        )


def _payments(
    draw: random.Random, now: datetime, customers: Sequence[Customer]
) -> Iterator[Payment]:
    span = int((PAST - timedelta(minutes=10)).total_seconds())
    ages = sorted((draw.randrange(600, span) for _ in range(PAYMENTS)), reverse=True)
    for number, age in enumerate(ages, 1):
        customer = customers[min(int(draw.expovariate(3 / CUSTOMERS)), CUSTOMERS - 1)]
        paid_at = now - timedelta(seconds=age)
        yield Payment(
            number,
            customer.customer_id,
            draw.choice(_CATEGORIES),
            customer.country if draw.random() < 0.8 else draw.choice(_COUNTRIES),
            draw.randrange(200, 9_000) * (10 if draw.random() < 0.08 else 1),
            draw.random() < 0.07,
            paid_at,
            # Mostly within a minute, now and then hours late: it could not have been known before.
            paid_at + timedelta(seconds=min(draw.choice((5, 20, 45, 7_200)), age)),
        )


def _labels(
    draw: random.Random, now: datetime, customers: Sequence[Customer], payments: Sequence[Payment]
) -> Iterator[Label]:
    homes = {c.customer_id: c.country for c in customers}
    for paid in payments:
        if paid.declined or paid.paid_at > now - SETTLED:
            continue
        odd = (paid.country != homes[paid.customer_id]) + (paid.amount_cents > 9_000)
        disputed = draw.random() < (0.03, 0.3, 0.8)[odd]
        yield Label(paid.payment_id, paid.customer_id, paid.paid_at, disputed)


def _csv(rows: Sequence[Any]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(field.name for field in fields(rows[0]))
    writer.writerows([_text(value) for value in astuple(row)] for row in rows)
    return out.getvalue().encode()


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value).lower() if isinstance(value, bool) else str(value)
