"""What teams may ask for in a second, and what is kept of what they asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving.access.keys_file import TeamEntry, load_keys, write_keys
from tests.serving.api.guarded import FEAST, VECTORS, Guarded


def limit(
    guarded: Guarded, team: str, *, requests: float | None = None, cells: float | None = None
) -> None:
    held = load_keys(guarded.keys_path)
    entry = TeamEntry(requests_per_second=requests, cells_per_second=cells)
    write_keys(guarded.keys_path, held.with_team(team, entry))
    guarded.look()


@pytest.mark.parametrize("path", [FEAST, VECTORS])
def test_too_many_requests_of_a_team(guarded: Guarded, path: str) -> None:
    limit(guarded, "ads", requests=0.001)
    assert guarded.ask("ads", "open", path=path).status_code == 200
    refused = guarded.ask("ads", "open", path=path)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["where"] == "requests"
    # Another team's requests, and health, are not the team's.
    assert guarded.ask("ops", "open", path=path).status_code == 200
    assert guarded.client.get("/health", headers=guarded.header("ads")).status_code == 200
    assert guarded.client.get("/features", headers=guarded.header("ads")).status_code == 429
    # The file is read again: what the team has used stays used, as long as its rate is the same.
    held = load_keys(guarded.keys_path)
    write_keys(guarded.keys_path, held.with_team("other", TeamEntry()))
    guarded.look()
    assert guarded.ask("ads", "open", path=path).status_code == 429
    limit(guarded, "ads")
    assert guarded.ask("ads", "open", path=path).status_code == 200
    assert 'forebay_requests_total{status="429"} 2.0' in _metrics(guarded)


@pytest.mark.parametrize("path", [FEAST, VECTORS])
def test_too_many_cells_of_a_team(guarded: Guarded, path: str) -> None:
    limit(guarded, "ads", cells=0.001)
    assert guarded.ask("ads", "open", "usual", path=path).status_code == 200
    refused = guarded.ask("ads", "open", path=path)
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1000
    assert guarded.client.get("/features", headers=guarded.header("ads")).status_code == 200


def test_a_wrong_key_spends_nothing(guarded: Guarded) -> None:
    limit(guarded, "ads", requests=0.001)
    good = guarded.keys["ads"]
    guarded.keys["wrong"] = good[:-1] + ("A" if good[-1] != "A" else "B")
    for _ in range(3):
        assert guarded.ask("wrong", "open").status_code == 401
    assert guarded.ask("ads", "open").status_code == 200


def _metrics(guarded: Guarded) -> str:
    return str(guarded.client.get("/metrics", headers=guarded.header("ops")).text)


def test_who_asked_for_what_is_kept_and_no_key_or_value(guarded: Guarded) -> None:
    ids = {team: key[4:16] for team, key in guarded.keys.items()}
    guarded.ask("risk", "secret")
    guarded.ask("ops", "open", "secret", path=VECTORS)
    guarded.ask(None, "open")
    guarded.client.post(
        "/v1/services/all/vectors",
        json={"entities": {"carrier": ["AA", "XX"]}},
        headers=guarded.header("risk"),
    )
    body: dict[str, Any] = {"feature_service": "none", "entities": {"carrier": ["AA"]}}
    guarded.client.post(FEAST, json=body, headers=guarded.header("ads"))
    guarded.client.post(FEAST, content=b"{", headers=guarded.header("ads"))
    assert guarded.app._audit is not None
    guarded.app._audit.flush()
    text = guarded.audit_path.read_text()
    found = [json.loads(line) for line in text.splitlines()]
    told = [
        (
            each["team"],
            each["key"],
            each["service"],
            each["views"],
            each["entities"],
            each["status"],
        )
        for each in found
    ]
    assert told == [
        ("risk", ids["risk"], None, ["secret"], 1, 200),
        ("ops", ids["ops"], None, ["open", "secret"], 0, 403),
        (None, None, None, [], 0, 401),
        ("risk", ids["risk"], "all", ["open", "usual", "secret"], 2, 200),
        ("ads", ids["ads"], None, [], 0, 404),
        ("ads", ids["ads"], None, [], 0, 400),
    ]
    assert not any(key[17:] in text for key in guarded.keys.values())
    assert "AA" not in text and "XX" not in text
    assert "forebay_audit_dropped_total 0.0" in _metrics(guarded)


def test_example_values_of_pages_are_kept_as_other_reads_are(guarded: Guarded) -> None:
    pages = [("/view/secret", "risk", True), ("/feature/open/n", "ops", True)]
    for path, team, shown in (*pages, ("/view/secret", "ops", False)):
        page = guarded.client.get(path, headers=guarded.header(team))
        assert (page.status_code, "<code>AA</code>" in page.text) == (200, shown)
    guarded.client.get("/view/usual")  # without a key there is no page
    assert guarded.app._audit is not None
    guarded.app._audit.flush()
    found = [json.loads(line) for line in guarded.audit_path.read_text().splitlines()]
    told = [(e["team"], e["views"], e["entities"], e["status"]) for e in found]
    assert told == [("risk", ["secret"], 1, 200), ("ops", ["open"], 1, 200)]
