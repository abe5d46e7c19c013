"""Training sets of an imported repository are those of the real Feast, value by value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.feast.environment import run_feast
from tests.feast.repository import HISTORY
from tests.forebay.small import run_here

pytestmark = pytest.mark.slow

#: Feast's services, by our name, with the features of each that are carried over.
SERVICES = {
    "small": (
        "small",
        ("driver_stats__score", "driver_stats__label", "areas__Group", "areas__open"),
    ),
    "re-named": (
        "re-named",
        ("origin__score", "origin__trips", "origin__label", "driver_forever__score"),
    ),
}


@pytest.mark.parametrize("service", SERVICES)
def test_history(
    service: str, repository: Path, imported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = history(repository, service, "duckdb")
    name, features = SERVICES[service]
    ours = train(imported, name, repository / "spine.parquet", monkeypatch)
    for feature in features:
        found = by_row(ours, feature)
        assert found == by_row(theirs, feature), feature
        assert len({*found.values()} - {None}) > 2, feature


def test_history_of_dask(repository: Path, imported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Feast's other local store loses spine rows whose candidates are all too old or too new, and
    takes a null key for the key null; the rest agrees, where no two rows tie."""
    theirs = history(repository, "small", "dask")
    ours = train(imported, "small", repository / "spine.parquet", monkeypatch)
    entity = by_row(ours, "city")
    for feature in ("areas__Group", "areas__open"):
        expected, found = by_row(theirs, feature), by_row(ours, feature)
        assert expected.keys() < found.keys()
        assert all(found[row] is None for row, city in entity.items() if city is None)
        kept = [row for row in expected if entity[row] is not None]
        assert {r: found[r] for r in kept} == {r: expected[r] for r in kept}
        assert len({found[r] for r in kept} - {None}) > 2


def test_created_as_arrival(
    repository: Path, imported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source whose created timestamp is its loaded_at_field hides rows that were not created yet,
    as Feast does with filter_by_created_timestamp."""
    path = imported / "models/features/feast/sources.yml"
    before = path.read_text()
    assert before.count("event_time: at\n") == 1
    path.write_text(
        before.replace("event_time: at\n", "event_time: at\n      loaded_at_field: created\n")
    )
    try:
        theirs = history(repository, "small", "duckdb", "created")
        ours = train(imported, "small", repository / "spine.parquet", monkeypatch)
    finally:
        path.write_text(before)
    assert by_row(ours, "driver_stats__label") == by_row(theirs, "driver_stats__label")
    plain = train(imported, "small", repository / "spine.parquet", monkeypatch)
    assert by_row(ours, "driver_stats__label") != by_row(plain, "driver_stats__label")


def history(repository: Path, service: str, offline_store: str, *more: str) -> pa.Table:
    settings = repository / "feature_store.yaml"
    text = settings.read_text()
    settings.write_text(text.replace("{type: duckdb}", f"{{type: {offline_store}}}"))
    try:
        run_feast(repository, HISTORY, service, *more)
    finally:
        settings.write_text(text)
    return pq.read_table(repository / "out.parquet")


def train(root: Path, service: str, spine: Path, patch: pytest.MonkeyPatch) -> pa.Table:
    out = root / "out.parquet"
    patch.chdir(root)
    run_here("train", service, "--spine", str(spine), "--out", str(out))
    return pq.read_table(out)


def by_row(table: pa.Table, column: str) -> dict[int, Any]:
    """Values by the spine's row number; NaN, which pandas makes of null, is null."""
    values = [None if v != v else v for v in table[column].to_pylist()]
    return dict(zip(table["row"].to_pylist(), values, strict=True))
