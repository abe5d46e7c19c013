"""Feast's client with the registry that it had, and our server for its online store, gets what Feast's
own online store answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.feast.client import FeastClient, FeastError, feast_client
from tests.feast.environment import run_feast
from tests.feast.repository import ONLINE, START, TICK
from tests.feast.server import started
from tests.forebay.small import run_here

pytestmark = pytest.mark.slow

NOW = START + 23 * TICK
DRIVERS = list(range(1, 10))


@pytest.fixture(scope="module")
def client(
    imported: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FeastClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(imported)
        run_here("build", "--now", NOW.isoformat())
        run_here("sync")
    words = [sys.executable, "-m", "forebay", "serve", "--port", "0", "--now", NOW.isoformat()]
    folder = tmp_path_factory.mktemp("client")
    with (
        started(words, imported) as url,
        feast_client(folder, url, str(repository / "registry.db"), "rides") as made,
    ):
        yield made


@pytest.fixture(scope="module")
def theirs(repository: Path) -> list[dict[str, list[Any]]]:
    """Feast's answers from its own store: without ttl, and with it."""
    rows = [{"driver_id": driver} for driver in DRIVERS]
    views = {"driver_forever": ["score"], "driver_stats": ["score", "trips", "label"]}
    calls = [
        {"features": [f"{view}:{name}" for name in names], "entity_rows": rows}
        for view, names in views.items()
    ]
    run_feast(repository, ONLINE, NOW.isoformat(), json.dumps(calls))
    return list(json.loads((repository / "answers.json").read_text()))


def test_a_view(client: FeastClient, theirs: list[dict[str, list[Any]]]) -> None:
    rows = [{"driver_id": driver} for driver in DRIVERS]
    ours = client.ask(["driver_forever:score"], rows=rows)
    assert ours["values"] == theirs[0]
    assert len({*theirs[0]["score"]} - {None}) > 2


def test_a_view_with_ttl(
    client: FeastClient, repository: Path, theirs: list[dict[str, list[Any]]]
) -> None:
    """Feast applies a ttl in training and not online; here it counts in both."""
    rows = [{"driver_id": driver} for driver in DRIVERS]
    names = ["score", "trips", "label"]
    ours = client.ask([f"driver_stats:{name}" for name in names], rows=rows)["values"]
    last = dict.fromkeys(DRIVERS, START - timedelta(days=1))
    for row in pq.read_table(repository / "stats.parquet").to_pylist():
        if row["at"] <= NOW:
            last[row["driver_id"]] = max(last[row["driver_id"]], row["at"])
    kept = [last[driver] >= NOW - timedelta(minutes=30) for driver in DRIVERS]
    assert any(kept) and not all(kept)
    for name in names:
        wanted = [v if keep else None for v, keep in zip(theirs[1][name], kept, strict=True)]
        assert ours[name] == wanted


def test_a_service_of_the_registry(client: FeastClient, theirs: list[dict[str, list[Any]]]) -> None:
    rows = [{"driver_id": driver, "city": "a"} for driver in DRIVERS]
    ours = client.ask(registered="small", rows=rows, full=True)
    assert list(ours["values"]) == [
        "driver_id", "city", "driver_stats__score", "driver_stats__label", "areas__Group",
        "areas__open",
    ]  # fmt: skip
    short = client.ask(registered="small", rows=rows)["values"]
    assert list(short.values()) == list(ours["values"].values())
    present = [v for v in short["label"] if v is not None]
    assert present and set(present) <= set(theirs[1]["label"])


def test_a_service_that_renames_a_view_and_its_key(
    client: FeastClient, theirs: list[dict[str, list[Any]]]
) -> None:
    """It lacks what is not carried over, the on-demand feature."""
    rows = [{"driver_id": driver, "origin_id": driver % 9 + 1} for driver in DRIVERS]
    ours = client.ask(registered="re-named", rows=rows, full=True)["values"]
    assert set(ours) == {
        "driver_id", "origin_id", "origin__score", "origin__trips", "origin__label",
        "driver_forever__score",
    }  # fmt: skip
    assert ours["driver_forever__score"] == theirs[0]["score"]
    own = client.ask(["driver_stats:trips"], rows=[{"driver_id": r["origin_id"]} for r in rows])
    assert ours["origin__trips"] == own["values"]["trips"]
    with pytest.raises(FeastError, match="score") as raised:
        client.ask(registered="re-named", rows=rows)
    assert raised.value.kind == "FeatureNameCollisionError"
