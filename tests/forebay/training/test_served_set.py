"""A training set of a log that is written by hand: every value as it was answered."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from forebay.dbt_project.project import find_project
from tests.forebay.conftest import Shell
from tests.forebay.served_by_hand import answered, log_served
from tests.forebay.small import VIEWS, make_project

AT = datetime(2024, 1, 9, tzinfo=UTC)
MODELS, _, _ = VIEWS.partition("exposures:")
SERVICE = """\
  - name: shapes
    config:
      materialized: feature_view
      event_time: paid_at
      meta: {feature_view: {entities: [customer], aliases: {bytes: raw, cost: charged}}}
exposures:
  - name: kinds
    type: ml
    owner: {name: Risk}
    depends_on: [ref('shapes'), ref('last_payment')]
    config:
      meta:
        feature_service:
          features:
            - last_payment.amount
            - shapes.bytes
            - shapes.raws
            - shapes.by_name
            - shapes.whole
            - shapes.cost
"""
CHANGED = {
    "models/views.yml": MODELS + SERVICE,
    # Its features that read a request value are none of the service's.
    "models/last_payment.sql": (
        "select customer, paid_at, amount, amount * {{ request('rate', 'double') }} as rated, "
        "amount + {{ request('fee', 'double') }} as more from {{ source('raw', 'payments') }}\n"
    ),
    "models/shapes.sql": (
        "select customer, paid_at, encode(customer) as raw, [encode(customer)] as raws, "
        "map {customer: amount} as by_name, {'raw': encode(customer), 'n': amount} as whole, "
        "amount * {{ request('rate', 'double') }} as charged from {{ source('raw', 'payments') }}\n"
    ),
}


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    made = Shell(make_project(tmp_path / "shop", CHANGED), monkeypatch, capsys)
    assert made.run("compile") == 0, made.err
    return made


def test_every_shape_of_value(shell: Shell) -> None:
    """By two names of a feature, and with a request value that one view of two reads."""
    catalog = find_project(shell.folder).catalog()
    shaped = {"raws": ["AP8=", None], "by_name": [["a/b", 1], ["", None]]}
    whole = {"raw": "/wA=", "n": 2}
    one: dict[str, Any] = {"bytes": "ANj/", **shaped, "whole": whole, "cost": 7.5}
    # Before the service went on to the other names.
    other: dict[str, Any] = {"whole": None, "charged": 9.0, "raws": [], "raw": "", "by_name": None}
    log_served(
        catalog,
        "kinds",
        AT,
        *(
            [
                answered(catalog, "last_payment", {"amount": amount}, AT),
                answered(catalog, "shapes", values, AT, request='{"rate": 1.5}'),
            ]
            for amount, values in ((5, one), (6, other))
        ),
    )
    assert shell.run("train", "kinds", "--served", "--out", "set.parquet") == 0, shell.err
    found = pq.read_table(shell.folder / "set.parquet").to_pylist()
    first = {
        "customer": "a", "rate": 1.5, "served_at": AT, "last_payment__amount": 5,
        "shapes__bytes": b"\x00\xd8\xff", "shapes__raws": [b"\x00\xff", None],
        "shapes__by_name": [("a/b", 1), ("", None)], "shapes__whole": {"raw": b"\xff\x00", "n": 2},
        "shapes__cost": 7.5,
    }  # fmt: skip
    second: dict[str, Any] = {
        **dict.fromkeys(first), "customer": "a", "rate": 1.5, "served_at": AT,
        "last_payment__amount": 6, "shapes__bytes": b"", "shapes__raws": [], "shapes__cost": 9.0,
    }  # fmt: skip
    assert found == [first, second]
    assert list(found[0]) == list(first), "and no fee, which nobody was asked for"
