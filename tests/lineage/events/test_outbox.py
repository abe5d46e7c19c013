"""No receiver makes a job wait: what cannot be delivered is dropped, and counted."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

from lineage.events.encode_event import Event
from lineage.events.outbox import Lost, Outbox, Receiver, ReceiverError

#: Longer than anything here takes: where it is reached, something waits that should not.
LONG = 60.0


class Kept:
    """Keeps events; it hangs, or fails from an event on."""

    name = "kept"

    def __init__(self, *, hangs: bool = False, fails_at: int | None = None) -> None:
        self.events: list[str] = []
        self.begun, self.go_on = threading.Event(), threading.Event()
        self._fails_at = fails_at
        if not hangs:
            self.go_on.set()

    def send(self, events: Sequence[str]) -> None:
        self.begun.set()
        self.go_on.wait(LONG)
        for number, event in enumerate(events):
            if self._fails_at is not None and len(self.events) >= self._fails_at:
                raise ReceiverError("502 Bad Gateway for url: http://bob:pw@h/", number)
            self.events.append(json.loads(event)["job"]["name"])


def event(name: str) -> Event:
    return Event("START", "2024-01-01T00:00:00Z", "r", {}, "forebay", name, {})


def outbox(receiver: Receiver, limit: int = 1_000) -> Outbox:
    return Outbox(lambda: receiver, lambda: "urn:test", limit)


def test_events_arrive_in_order() -> None:
    kept = Kept()
    box = outbox(kept)
    for number in range(300):
        box.put(event(str(number)))
    assert box.close(LONG) is None
    assert kept.events == [str(number) for number in range(300)]


def test_nothing_is_opened_for_nothing() -> None:
    def refuse() -> Receiver:
        raise AssertionError

    assert Outbox(refuse, lambda: "urn:test").close(LONG) is None


def test_what_does_not_fit_the_queue_is_dropped() -> None:
    kept = Kept(hangs=True)
    box = outbox(kept, limit=5)
    box.put(event("first"))
    assert kept.begun.wait(LONG)
    for number in range(20):  # returns at once, though nobody takes them
        box.put(event(str(number)))
    kept.go_on.set()
    assert box.close(LONG) == Lost(15, 21, "kept", "it is too slow")
    assert kept.events == ["first", "0", "1", "2", "3", "4"]


def test_a_receiver_that_hangs_is_left_behind() -> None:
    kept = Kept(hangs=True)
    box = outbox(kept)
    for number in range(3):
        box.put(event(str(number)))
    lost = box.close(0.01)
    kept.go_on.set()
    assert lost == Lost(3, 3, "kept", "it is too slow")


def test_a_receiver_that_fails_is_not_waited_for() -> None:
    box = outbox(Kept(fails_at=2))
    for number in range(4):
        box.put(event(str(number)))
    lost = box.close(LONG)
    assert lost is not None and (lost.dropped, lost.of) == (2, 4)
    assert lost.line() == (
        "OpenLineage: 2 of 4 events were dropped, kept did not take them: "
        "502 Bad Gateway for url: http://***@h/"
    )


def test_a_receiver_that_cannot_be_opened_is_told() -> None:
    def refuse() -> Receiver:
        raise ReceiverError("it cannot be opened: no such transport")

    box = Outbox(refuse, lambda: "urn:test")
    box.put(event("a"))
    lost = box.close(LONG)
    assert lost is not None and lost.reason == "it cannot be opened: no such transport"


def test_a_receivers_own_address_is_told_without_its_password() -> None:
    line = Lost(1, 1, "http://bob:hunter2@h:5000", "it is too slow").line()
    assert line == (
        "OpenLineage: 1 of 1 events were dropped, http://***@h:5000 did not take them: it is too slow"
    )
