"""What is told of a long statement while it runs."""

from __future__ import annotations

import threading

import duckdb
import pytest

from lakehouse.watch_query import watch_query


def test_the_share_grows_to_one_and_the_statement_is_done() -> None:
    connection, told, looked = duckdb.connect(), list[float](), threading.Event()

    def report(share: float) -> None:
        told.append(share)
        looked.set()

    with watch_query(connection, report):
        connection.execute("create table made as select 1 as a")
        assert looked.wait(30)
    assert told[-1] == 1.0 and len(told) > 1
    assert all(0 <= share < 1 for share in told[:-1])
    assert connection.execute("from made").fetchall() == [(1,)]


def test_a_statement_that_fails_is_not_done() -> None:
    told: list[float] = []
    with pytest.raises(duckdb.Error), watch_query(duckdb.connect(), told.append):
        duckdb.connect().execute("from nowhere")
    assert 1.0 not in told
