"""What is watched goes on being watched, whatever a look raises."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
from starlette.testclient import TestClient

from serving.api import app as app_module
from serving.api import create_app
from serving.api.take_over import TakeOver
from serving.api.watch import Watch
from serving.lookup.lookup import Lookup
from tests.serving.project import Project, instant


def test_an_error_does_not_end_a_watch(caplog: pytest.LogCaptureFixture) -> None:
    looks = 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks in (2, 3):
            raise ZeroDivisionError("a defect")

    problems = []

    async def story() -> None:
        watch = Watch("the thing", look, 0.001)
        task = asyncio.create_task(watch.run())
        while looks < 5:
            problems.append(watch.problem)
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with caplog.at_level(logging.ERROR, "uvicorn.error"):
        asyncio.run(story())
    told = [problem for problem in problems if problem]
    assert told and "the thing cannot be looked at: ZeroDivisionError('a defect')" in told[0]
    assert problems[0] is None and problems[-1] is None
    (record,) = caplog.records  # once, though two looks failed
    assert record.exc_info is not None and record.exc_info[0] is ZeroDivisionError


def test_health_says_it_and_recovers(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "LOOK_EVERY_S", 0.01)
    broken = False
    look = TakeOver.look

    def look_or_fail(take_over: TakeOver) -> Lookup | None:
        if broken:
            raise ZeroDivisionError("a defect")
        return look(take_over)

    monkeypatch.setattr(TakeOver, "look", look_or_fail)
    project.sync_delays(1, instant("07-01T08:00"))
    with TestClient(create_app(project.catalog)) as client:
        assert client.get("/health").status_code == 200
        for broken, status in ((True, 503), (False, 200)):
            deadline = time.monotonic() + 30
            while (answer := client.get("/health")).status_code != status:
                assert time.monotonic() < deadline, answer.text
            assert ("a defect" in (answer.json()["problem"] or "")) is broken
            asked = {"features": ["delays:n"], "entities": {"carrier": ["AA"]}}
            assert client.post("/v1/vectors", json=asked).json()["vectors"] == [[1]]
