"""What a client is made with, and the values that it is called with."""

from __future__ import annotations

import math
import ssl
import threading
from datetime import UTC, date, datetime, time
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from feature_specs.errors import DataError, ForebayError
from forebay.client import AsyncClient, Client, UnavailableError
from forebay.client.request import vector_requests
from forebay.client.settings import Server, Settings
from tests.forebay.client.scripted import vectors

CERTIFICATE = Path(__file__).parent / "localhost.pem"


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:6566",
        "ftp://host",
        "http://",
        "http://host:0",
        "http://host:99999",
        "http://user:password@host",
        "http://host/?a=b",
        "http://host/\r\nx: y",
        "http://hö.example",
    ],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_addresses_that_are_none(kind: type[Any], url: str) -> None:
    with pytest.raises(ForebayError, match="is not the address of a server") as raised:
        kind(url)
    assert "password" not in str(raised.value)


def test_no_repr_holds_the_key() -> None:
    settings = Settings("http://host", 1.0, 0, "fbk_s3cret", 1)
    assert (
        "s3cret"
        not in f"{settings!r} {Server.of(settings)!r} {Client('http://h', api_key='s3cret')!r}"
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"timeout": 0},
        {"timeout": math.nan},
        {"retries": -1},
        {"connections": 0},
        {"api_key": "a\r\nb: c"},
    ],
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(ForebayError, match=f"{name} must be"):
        Client("http://localhost", **settings)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (None, None),
        (True, True),
        (-(2**63), -(2**63)),
        (2**64 - 1, 2**64 - 1),
        (2**64, str(2**64)),
        ("ü", "ü"),
        (0.1, 0.1),
        (Decimal("1E+3"), "1000"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date(2013, 7, 1), "2013-07-01"),
        (time(1, 2, 3, 4), "01:02:03.000004"),
        (datetime(2013, 7, 1, 2, 0, 0, 1), "2013-07-01T02:00:00.000001"),
        (datetime(2013, 7, 1, 2, tzinfo=UTC), "2013-07-01T02:00:00+00:00"),
        (np.int32(7), 7),
        (np.float32(0.5), 0.5),
        (np.str_("a"), "a"),
        (np.bool_(True), True),
        (pd.NA, None),
        (pd.NaT, None),
        (pd.Timestamp("2013-07-01T02:00:00.000001Z"), "2013-07-01T02:00:00.000001+00:00"),
    ],
)
def test_values_are_sent_exactly(value: Any, sent: Any) -> None:
    (request,) = vector_requests("s", {"k": [value, None]}, {"r": value}, False)
    assert orjson.loads(request.body) == {"entities": {"k": [sent, None]}, "request": {"r": sent}}


@pytest.mark.parametrize(
    ("column", "sent"),
    [
        (pd.Series(["a", None]), ["a", None]),
        (pd.Series(["a", None], dtype=object), ["a", None]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.Series([1.5, None], dtype="double[pyarrow]"), [1.5, None]),
        (pd.Series(pd.to_datetime(["2013-07-01", None])), ["2013-07-01T00:00:00", None]),
        (pl.Series(["a", None]), ["a", None]),
        (pa.array([1, None]), [1, None]),
    ],
)
def test_what_is_missing_in_a_column_is_null(column: Any, sent: list[Any]) -> None:
    (request,) = vector_requests("s", {"k": column}, None, False)
    assert orjson.loads(request.body) == {"entities": {"k": sent}}


def test_a_nan_among_pandas_floats_is_no_null() -> None:
    with pytest.raises(DataError, match="send None for a null"):
        vector_requests("s", {"k": pd.Series([1.5, None])}, None, False)


def test_numpy_times_keep_their_meaning() -> None:
    times = np.array(["2013-07-01T02:00:00.000001", "NaT"], "datetime64[ns]")
    (request,) = vector_requests("s", {"k": times}, None, False)
    assert orjson.loads(request.body) == {"entities": {"k": ["2013-07-01T02:00:00.000001", None]}}
    days = np.array(["2013-07-01", "NaT"], "datetime64[D]")
    (request,) = vector_requests("s", {"k": days}, None, False)
    assert orjson.loads(request.body) == {"entities": {"k": ["2013-07-01", None]}}


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        np.float64("nan"),
        pd.Timestamp("2013-07-01T02:00:00.000000001"),
        b"bytes",
        [1],
        {"a": 1},
        object(),
    ],
)
def test_values_that_cannot_be_sent_exactly_are_refused(value: Any) -> None:
    with pytest.raises(DataError, match="'k' cannot be"):
        vector_requests("s", {"k": [1, value]}, None, False)


def test_numpy_times_of_nanoseconds_are_refused() -> None:
    times = np.array(["2013-07-01T02:00:00.000000001"], "datetime64[ns]")
    with pytest.raises(DataError, match="whole microseconds"):
        vector_requests("s", {"k": times}, None, False)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = vectors(7)
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def test_tls_is_verified() -> None:
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(CERTIFICATE)
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.socket = served.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://localhost:{server.server_port}"
        trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
        with Client(url, timeout=30, tls=trusting) as client:
            assert client.vectors("s", {"k": [1]}).to_dicts() == [{"v__x": 7}]
        with (
            Client(url, timeout=30, retries=0) as client,
            pytest.raises(UnavailableError, match="certificate verify failed"),
        ):
            client.vectors("s", {"k": [1]})
        server.shutdown()
