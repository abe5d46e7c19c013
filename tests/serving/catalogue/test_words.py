"""Words: durations, and what a certificate says of a source."""

from __future__ import annotations

import pytest

from feature_specs.catalog import LeafEntry
from serving.catalogue.words import anchor, duration, visible_from


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0 s"),
        (999_999, "0 s"),
        (90_000_000, "1 min 30 s"),
        (90_061_000_000, "1 d 1 h"),
        (-3_600_000_000, "-1 h"),
    ],
)
def test_durations(us: int, text: str) -> None:
    assert duration(us) == text


@pytest.mark.parametrize(
    ("role", "times", "said"),
    [
        ("event", {"event_time": "at"}, "A row counts from its at on."),
        ("arrival", {"event_time": "at", "loaded_at": "came"}, "or from its came, when it came in"),
        ("history", {"valid_from": "a", "valid_to": "b"}, "from its a on until its b."),
        ("history", {"valid_from": "a"}, "A version counts from its a on."),
        ("changelog", {"event_time": "at"}, "The latest change of a key counts from its at on"),
        ("static", {}, "always count"),
        ("something new", {}, "as the project declares"),
    ],
)
def test_each_role_is_told_in_words(role: str, times: dict[str, str], said: str) -> None:
    assert said in visible_from(LeafEntry("t", "t", "t", role, times=times))


def test_what_is_rewritten_has_no_past() -> None:
    leaf = LeafEntry("t", "t", "t", "static", written="mutable")
    assert "no past" in visible_from(leaf)


def test_small_words() -> None:
    assert anchor("a b") == "a-20-b" and anchor("a-20-b") != anchor("a b")
