"""Spines of regular instants, from the command line and from Python."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import forebay
from feature_specs.errors import ForebayError
from tests.forebay.conftest import Shell

pytestmark = pytest.mark.slow

FIRST, LAST = "2026-11-01T00:00:00Z", "2026-11-02T12:00:00+00:00"


def test_every_entity_at_every_instant_once(shop_shell: Shell, tmp_path: Path) -> None:
    keys = tmp_path / "keys.csv"
    keys.write_text("customer_id,note\n3,a\n1,b\n3,c\n,d\n")
    out = tmp_path / "spine.parquet"
    words = ["--entities", str(keys), "--key", "customer_id", "--every", "6h", "--from", FIRST]
    assert shop_shell.run("spine", *words, "--to", LAST, "--out", str(out), "--json") == 0
    said = json.loads(shop_shell.out)
    assert said == {
        "out": str(out), "rows": 14, "entities": 2, "instants": 7, "without_key": 1,
    }  # fmt: skip
    step, first = timedelta(hours=6), datetime(2026, 11, 1, tzinfo=UTC)
    expected = [(k, first + n * step) for n in range(7) for k in (1, 3)]
    assert [tuple(row.values()) for row in pq.read_table(out).to_pylist()] == expected
    assert shop_shell.run("train", "dispute_risk_v1", "--spine", str(out)) == 0
    assert "14 rows" in shop_shell.out


def test_the_same_from_python(project: forebay.OpenProject) -> None:
    frame = pd.DataFrame({"customer_id": pd.array([2, 2, None], "Int32")})
    spine = project.spine(frame, every=timedelta(days=1), start=FIRST, end=LAST)
    assert spine["customer_id"].to_pylist() == [2, 2]
    assert spine["event_timestamp"].to_pylist() == [
        datetime(2026, 11, d, tzinfo=UTC) for d in (1, 2)
    ]
    query = "select customer_id from shop.payments"
    spine = project.spine(query, every="1 day", start=FIRST, end=FIRST)
    assert spine["customer_id"].to_pylist() == sorted(set(spine["customer_id"].to_pylist()))
    assert spine.num_rows > 40


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"every": "1 month"}, r"every=: '1 month' is not a duration"),
        ({"start": "2026-11-01"}, "start: .* says no time zone"),
        ({"start": datetime(2026, 11, 1)}, "the instant has no zone"),
        ({"end": "2026-10-01T00:00:00Z"}, "it ends before it begins"),
        ({"keys": ["customer"]}, "no column 'customer'.*did you mean 'customer_id'"),
        ({"entities": "select * from nowhere"}, "nowhere does not exist"),
    ],
)
def test_what_is_no_spine(
    project: forebay.OpenProject, changes: dict[str, object], fault: str
) -> None:
    given = {"entities": {"customer_id": [1]}, "every": "1 day", "start": FIRST, "end": LAST}
    with pytest.raises(ForebayError, match=fault):
        project.spine(**{**given, **changes})  # type: ignore[arg-type]
