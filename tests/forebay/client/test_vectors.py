"""What a call gives, from a server and without one."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import uvloop

from feature_specs.errors import DataError, ForebayError, UnknownNameError
from forebay.client import (
    Absent,
    AsyncClient,
    Client,
    DeprecatedViewWarning,
    Health,
    Service,
    Vectors,
)
from forebay.client.local import LocalClient
from serving.lookup.errors import InvalidRequestError, NotReadyError
from tests.forebay.client.conftest import MANY
from tests.serving.server_process import ServerProcess

ENTITIES: dict[str, list[Any]] = {
    "carrier": ["AA", "Ü", "B6"],
    "origin": ["JFK", "JFK", None],
    "flight": [1, 2, 1],
}


def test_vectors_of_a_service(either: Client | LocalClient) -> None:
    vectors = either.vectors("arrival", ENTITIES)
    assert vectors.features == ("delays__n", "last__seen__gate")
    assert vectors.types == {"delays__n": "BIGINT", "last__seen__gate": "VARCHAR"}
    assert vectors.to_dicts() == [
        {"delays__n": 3, "last__seen__gate": "A1"},
        {"delays__n": 0, "last__seen__gate": None},
        {"delays__n": None, "last__seen__gate": None},
    ]
    assert vectors.to_dict() == {
        "delays__n": [3, 0, None],
        "last__seen__gate": ["A1", None, None],
    }
    assert vectors.absent == (
        Absent(1, "last__seen", "OUTSIDE_MAX_AGE"),
        Absent(2, "last__seen", "NOT_FOUND"),
    )
    assert (len(vectors), vectors.ages) == (3, {})
    assert repr(vectors) == "<Vectors: 3 x 2 features>"


def test_ages_are_given_where_they_are_asked(either: Client | LocalClient) -> None:
    vectors = either.vectors("arrival", ENTITIES, ages=True)
    assert vectors.ages == {"delays": 14_400.0, "last__seen": 14_400.0}


@pytest.mark.parametrize("minutes", [[10, 20.5], (10, 20.5), np.array([10, 20.5])])
def test_request_values(either: Client | LocalClient, minutes: Any) -> None:
    features = ["delays:excess", "delays:n"]
    entities = {"carrier": ["AA", "Ü"]}
    vectors = either.vectors(features, entities, request={"minutes": minutes})
    assert vectors.to_dict() == {"delays__excess": [8.5, 21.0], "delays__n": [3, 0]}
    one = either.vectors(features, entities, request={"minutes": 2.5})
    assert one.to_dict()["delays__excess"] == [1.0, 3.0]


def test_frames(either: Client | LocalClient) -> None:
    vectors = either.vectors(["delays:n", "delays:delay"], {"carrier": ["AA", "B6", "XX"]})
    columns = [pa.array([3, None, None], pa.int64()), pa.array([1.5, float("nan"), None])]
    names = ["delays__n", "delays__delay"]
    assert vectors.to_arrow().equals(pa.table(columns, names)) is False  # a NaN equals nothing
    assert str(vectors.to_arrow()) == str(pa.table(columns, names))
    frame = vectors.to_pandas()
    assert list(frame.dtypes) == [pd.ArrowDtype(pa.int64()), pd.ArrowDtype(pa.float64())]
    assert frame["delays__n"].tolist() == [3, pd.NA, pd.NA]
    expected = pl.DataFrame({names[0]: [3, None, None], names[1]: [1.5, float("nan"), None]})
    assert vectors.to_polars().equals(expected)


@pytest.mark.parametrize(
    "carriers",
    [
        ("AA", "B6"),
        pa.array(["AA", "B6"]),
        pd.Series(["AA", "B6"]),
        pl.Series(["AA", "B6"]),
        np.array(["AA", "B6"]),
    ],
)
def test_entities_from_columns_of_frames(client: Client, carriers: Any) -> None:
    assert client.vectors(["delays:n"], {"carrier": carriers}).to_dict() == {"delays__n": [3, None]}


@pytest.mark.parametrize("frame", [pa.table, pd.DataFrame, pl.DataFrame])
def test_entities_from_a_frame(either: Client | LocalClient, frame: Any) -> None:
    entities = frame({"origin": ["JFK", None], "flight": [1, 1], "carrier": ["AA", "Ü"]})
    assert either.vectors("arrival", entities).to_dict() == {
        "delays__n": [3, 0],
        "last__seen__gate": ["A1", None],
    }


def test_more_entities_than_one_request_takes(either: Client | LocalClient) -> None:
    ids = [*range(MANY), -1]
    vectors = either.vectors("numbers", {"id": ids}, ages=True)
    assert vectors.to_dict() == {"numbers__twice": [2 * i for i in range(MANY)] + [None]}
    assert vectors.absent == (Absent(MANY, "numbers", "NOT_FOUND"),)
    assert vectors.ages == {"numbers": 14_400.0}


def test_request_values_are_split_with_their_entities(either: Client | LocalClient) -> None:
    minutes = list(range(MANY))
    entities = {"carrier": ["AA"] * MANY}
    vectors = either.vectors(["delays:excess"], entities, request={"minutes": minutes})
    assert vectors.to_dict() == {"delays__excess": [m - 1.5 for m in minutes]}


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_asynchronous_client_answers_alike(
    server: ServerProcess, local: LocalClient, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def ask() -> list[Vectors]:
        async with AsyncClient(server.url, timeout=30) as client:
            return [
                await client.vectors("arrival", ENTITIES, ages=True),
                await client.vectors("numbers", {"id": list(range(MANY))}),
            ]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        one, many = runner.run(ask())
    expected = local.vectors("arrival", ENTITIES, ages=True)
    assert one.to_dicts() == expected.to_dicts()
    assert (one.types, one.absent, one.ages) == (expected.types, expected.absent, expected.ages)
    assert many.to_dict() == {"numbers__twice": [2 * i for i in range(MANY)]}


def test_what_there_is(either: Client | LocalClient) -> None:
    assert either.services() == [
        Service("arrival", ("delays:n", "last__seen:gate")),
        Service("numbers", ("numbers:twice",)),
    ]
    features = {feature.reference: feature for feature in either.features()}
    excess = features["delays:excess"]
    assert (excess.type, excess.entities, excess.requests) == (
        "DOUBLE",
        {"carrier": "VARCHAR"},
        {"minutes": "DOUBLE"},
    )
    assert (excess.computed_at_reading, excess.status, excess.age) == (True, "fresh", 14_400.0)
    assert (features["unsynced:n"].status, features["unsynced:n"].age) == ("unsynced", None)
    assert either.health() == Health(False, ("unsynced",))


@pytest.mark.parametrize(
    ("kind", "features", "entities", "words"),
    [
        (UnknownNameError, "arrivals", {"carrier": ["AA"]}, "did you mean 'arrival'"),
        (UnknownNameError, ["delays:m"], {"carrier": ["AA"]}, "no feature 'm'"),
        (UnknownNameError, ["delays:n"], {"carier": ["AA"]}, "no feature view has an entity"),
        (UnknownNameError, "a/b ü?", {"carrier": ["AA"]}, "named 'a/b ü"),
        (InvalidRequestError, ["delays:n"], {"flight": [1]}, "'carrier' of delays is missing"),
        (InvalidRequestError, ["delays:n"], {"carrier": []}, "no entity is asked"),
        (InvalidRequestError, ["delays:n"], {"carrier": [1]}, "is VARCHAR, not 1"),
        (InvalidRequestError, "arrival", {**ENTITIES, "flight": [1]}, "different lengths"),
        (
            InvalidRequestError,
            "arrival",
            {"carrier": ["AA"] * 1001, "origin": ["JFK"] * 1000, "flight": [1] * 1001},
            "different lengths",
        ),
        (NotReadyError, ["unsynced:n"], {"carrier": ["AA"]}, "not in the online store yet"),
        (DataError, ["delays:n"], {"carrier": "AA"}, "not a list of values"),
        (DataError, ["delays:n"], ["AA"], "entities are list, not columns by name"),
        (DataError, ["delays:n"], {"carrier": ["AA", "\ud800"]}, "a text cannot be sent"),
    ],
)
def test_errors_are_told_alike(
    client: Client,
    local: LocalClient,
    kind: type[ForebayError],
    features: Any,
    entities: Any,
    words: str,
) -> None:
    told = []
    for asked in (client, local):
        with pytest.raises(kind, match=words) as caught:
            asked.vectors(features, entities)
        told.append((type(caught.value), str(caught.value)))
    assert told[0] == told[1]


OLD = ["old:n", "delays:n"]
SINCE = datetime(2013, 8, 1, tzinfo=UTC)


def test_views_that_are_deprecated_are_told(either: Client | LocalClient) -> None:
    with pytest.warns(DeprecatedViewWarning, match="old__n.*deprecated as of 2013-08-01") as told:
        vectors = either.vectors(OLD, {"carrier": ["AA"]})
    assert [warning.filename for warning in told] == [__file__]
    assert (vectors.deprecated, vectors.to_dicts()[0]["old__n"]) == (SINCE, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert either.vectors(["delays:n"], {"carrier": ["AA"]}).deprecated is None


@pytest.mark.parametrize("count", [1, MANY])
def test_an_asynchronous_client_tells_of_deprecated_views(
    server: ServerProcess, count: int
) -> None:
    """In one request and in several at once."""

    async def story() -> Vectors:
        async with AsyncClient(server.url, timeout=60) as client:
            return await client.vectors(OLD, {"carrier": ["AA"] * count})

    with pytest.warns(DeprecatedViewWarning) as told:
        vectors = asyncio.run(story())
    assert (vectors.deprecated, len(vectors)) == (SINCE, count)
    assert [warning.filename for warning in told] == [__file__]
