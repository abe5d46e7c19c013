"""Who is let in, and what he may read: over the API, as an attacker would try."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from feature_specs.access import ViewAccess
from feature_specs.catalog import Catalog
from feature_specs.view_entry import Role
from serving.access.api_key import make_key
from serving.access.keys_file import KeysFile, TeamEntry, load_keys, write_keys
from serving.api import create_app
from tests.serving.api.guarded import ACCESS, FEAST, NOW, VECTORS, Guarded
from tests.serving.project import make_view

pytestmark = pytest.mark.many_cases

PAGES = (
    "/features",
    "/v1/features",
    "/feature/open/n",
    "/assets/catalogue.js",
    "/metrics",
    "/",
    "/openapi.json",
    "/nothing",
    "/health/",
    "//health",
    "/HEALTH",
)


@pytest.mark.parametrize("path", [FEAST, VECTORS])
@pytest.mark.parametrize(
    ("team", "reads"),
    [
        ("risk", {"open", "usual", "secret"}),
        ("ops", {"open", "usual"}),
        ("ads", {"open", "usual"}),
        ("outside", {"open"}),
    ],
)
def test_each_team_reads_what_it_may(
    guarded: Guarded, team: str, reads: set[str], path: str
) -> None:
    for view in ACCESS:
        answer = guarded.ask(team, view, path=path)
        if view in reads:
            assert answer.status_code == 200, answer.text
        else:
            assert answer.status_code == 403
            told = answer.json()["error"]
            assert repr(view) in told["what"] and repr(team) in told["what"]
            assert told["hint"] == f"ask {ACCESS[view].owner}"
    # One view that is not for a team is enough, wherever it stands.
    everything = [guarded.ask(team, *views, path=path) for views in (ACCESS, reversed(ACCESS))]
    allowed = 200 if reads == set(ACCESS) else 403
    assert {answer.status_code for answer in everything} == {allowed}
    service = guarded.client.post(
        "/v1/services/all/vectors",
        json={"entities": {"carrier": ["AA"]}},
        headers=guarded.header(team),
    )
    assert service.status_code == allowed
    assert ("vectors" in service.json()) == (allowed == 200)


@pytest.mark.parametrize("path", [FEAST, VECTORS])
def test_no_plan_of_one_team_serves_another(guarded: Guarded, path: str) -> None:
    for _ in range(3):
        assert guarded.ask("risk", "secret", path=path).status_code == 200
        assert guarded.ask("ops", "secret", path=path).status_code == 403
        assert guarded.ask(None, "secret", path=path).status_code == 401


def _basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"any:{key}".encode()).decode()


WRONG: dict[str, Callable[[str], Any]] = {
    "nothing": lambda key: {},
    "empty": lambda key: {"authorization": ""},
    "no scheme": lambda key: {"authorization": key},
    "another scheme": lambda key: {"authorization": f"Token {key}"},
    "a password for a POST": lambda key: {"authorization": _basic(key)},
    "one letter less": lambda key: {"authorization": f"Bearer {key[:-1]}"},
    "one letter more": lambda key: {"authorization": f"Bearer {key}x"},
    "another letter": lambda key: {
        "authorization": f"Bearer {key[:-2]}{'AB'[key[-2] == 'A']}{key[-1]}"
    },
    "another id": lambda key: {"authorization": f"Bearer fbk_{'0' * 12}_{key[17:]}"},
    "the id alone": lambda key: {"authorization": f"Bearer {key[4:16]}"},
    "the hash": lambda key: {"authorization": f"Bearer fbk_{key[4:16]}_{'0' * 43}"},
    "upper case": lambda key: {"authorization": f"Bearer {key.upper()}"},
    "two keys in one": lambda key: {"authorization": f"Bearer {key}, Bearer {key}"},
    "two headers": lambda key: [
        ("authorization", f"Bearer {key}"),
        ("Authorization", f"Bearer {key}"),
    ],
    "two that differ": lambda key: [
        ("authorization", "Bearer x"),
        ("authorization", f"Bearer {key}"),
    ],
    "no ASCII": lambda key: {"authorization": f"Bearer {key}é".encode()},
    "very long": lambda key: {"authorization": f"Bearer {key}{'x' * 20_000}"},
    "unsigned token": lambda key: {
        "authorization": "Bearer eyJhbGciOiJub25lIn0.eyJ0ZWFtIjoicmlzayJ9."
    },
    "another header": lambda key: {"x-api-key": key, "proxy-authorization": f"Bearer {key}"},
}


@pytest.mark.parametrize("kind", WRONG)
def test_who_has_no_key_is_refused_and_told_nothing(guarded: Guarded, kind: str) -> None:
    key = guarded.keys["risk"]
    body = {"features": ["open:n"], "entities": {"carrier": ["AA"]}}
    answer = guarded.client.post(FEAST, json=body, headers=WRONG[kind](key))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="forebay"')
    assert ("invalid_token" in answer.headers["www-authenticate"]) == (
        kind not in ("nothing", "another header")
    )
    assert answer.json()["error"]["where"] == "authorization"
    told = answer.text + str(answer.headers)
    assert key not in told and key[17:30] not in told and "eyJ" not in told
    assert "open" not in told  # of a project's names nothing is told either


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_names_of_header_and_scheme_are_of_any_case(
    guarded: Guarded, scheme: str, name: str
) -> None:
    key = guarded.keys["ads"]
    answer = guarded.client.get("/features", headers={name: f"{scheme}  {key} "})
    assert answer.status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_everything_but_health_wants_a_key(guarded: Guarded, page: str) -> None:
    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        answer = guarded.client.request(method, page, follow_redirects=False)
        assert answer.status_code == 401
        assert len(answer.headers.get_list("www-authenticate")) == 2
        key = guarded.header("outside")
        let_in = guarded.client.request(method, page, headers=key, follow_redirects=False)
        assert let_in.status_code != 401


def test_a_browser_sends_the_key_as_a_password(guarded: Guarded) -> None:
    headers = {"authorization": _basic(guarded.keys["ads"])}
    assert "secret" in guarded.client.get("/", headers=headers).text
    for wrong in ("Basic !", "Basic " + base64.b64encode(b"nothing").decode(), "Basic"):
        assert guarded.client.get("/", headers={"authorization": wrong}).status_code == 401


def test_health_tells_names_only_to_those_with_a_key(guarded: Guarded) -> None:
    broken = replace(
        guarded.project.catalog,
        views={**guarded.project.catalog.views, "unsynced": make_view("unsynced")},
    )
    guarded.compile(broken)
    for headers in ({}, {"authorization": "Bearer x"}):
        answer = guarded.client.get("/health", headers=headers)
        assert (answer.status_code, answer.json()) == (503, {"status": "degraded"})
    told = guarded.client.get("/health", headers=guarded.header("outside")).json()
    assert told["not_ready"] == ["unsynced"]


def test_the_listing_says_what_a_team_may_read_and_who_to_ask(guarded: Guarded) -> None:
    views = guarded.client.get("/features", headers=guarded.header("ops")).json()["views"]
    told = {v["name"]: (v["access"], v["group"], v["ask"], v["readable"]) for v in views}
    assert told == {
        "open": ("public", "ops", "ops@x.org", True),
        "usual": ("protected", "ops", "ops@x.org", True),
        "secret": ("private", "risk", "risk@x.org", False),
    }


def test_feasts_client_gets_the_exception_that_it_knows(guarded: Guarded) -> None:
    body = {
        "features": ["secret:n"],
        "entities": {"carrier": ["AA"]},
        "include_feature_view_version_metadata": False,
    }
    answer = guarded.client.post(FEAST, json=body, headers=guarded.header("ops"))
    assert answer.status_code == 403
    told = json.loads(answer.json())
    assert (told["module"], told["class"]) == ("feast.errors", "FeastPermissionError")


def test_a_key_is_good_until_it_expires_or_is_revoked(guarded: Guarded) -> None:
    text, stored = make_key("ads", NOW, NOW + timedelta(hours=1))
    held = load_keys(guarded.keys_path)
    write_keys(guarded.keys_path, held.with_key(stored))
    guarded.keys["new"] = text
    assert guarded.ask("new", "open").status_code == 401  # not looked at yet
    guarded.look()
    assert guarded.ask("new", "open").status_code == 200
    guarded.clock[0] += timedelta(hours=1)
    answer = guarded.ask("new", "open")
    assert answer.status_code == 401 and "expired" in answer.text
    guarded.clock[0] = NOW
    write_keys(guarded.keys_path, held.with_key(replace(stored, revoked=NOW)))
    guarded.look()
    answer = guarded.ask("new", "open")
    assert answer.status_code == 401 and "not known" in answer.text
    assert guarded.ask("ads", "open").status_code == 200


def test_a_team_that_loses_a_group_loses_its_views_at_once(guarded: Guarded) -> None:
    assert guarded.ask("risk", "secret").status_code == 200
    held = load_keys(guarded.keys_path)
    write_keys(guarded.keys_path, held.with_team("risk", TeamEntry(groups=("ops",))))
    guarded.look()
    assert guarded.ask("risk", "secret").status_code == 403
    assert guarded.ask("risk", "usual").status_code == 200


def test_a_keys_file_that_cannot_be_read_changes_nothing_and_is_told(guarded: Guarded) -> None:
    guarded.keys_path.write_text("{")
    guarded.look()
    assert guarded.ask("ads", "open").status_code == 200
    assert "JSON" in guarded.client.get("/health", headers=guarded.header("ads")).json()["problem"]
    guarded.keys_path.unlink()
    guarded.look()
    assert guarded.ask("ads", "open").status_code == 200
    write_keys(guarded.keys_path, KeysFile())
    guarded.look()
    assert guarded.ask("ads", "open").status_code == 401


def _with_access(catalog: Catalog, **access: ViewAccess) -> Catalog:
    return replace(catalog, access={**catalog.access, **access})


def test_access_that_is_compiled_anew_counts_under_a_running_server(guarded: Guarded) -> None:
    private = ViewAccess("private", "risk", "risk@x.org")
    assert guarded.ask("ops", "usual").status_code == 200
    guarded.compile(_with_access(guarded.project.catalog, usual=private))
    assert guarded.ask("ops", "usual").status_code == 403
    assert guarded.ask("risk", "usual").status_code == 200
    guarded.compile(_with_access(guarded.project.catalog, usual=ACCESS["usual"]))
    assert guarded.ask("ops", "usual").status_code == 200


def test_access_counts_for_a_view_that_is_answered_as_it_was(guarded: Guarded) -> None:
    """Its rows wait for `forebay sync`; who may read them does not."""
    changed = make_view("usual", semantic_hash="hash2")
    catalog = _with_access(guarded.project.catalog, usual=ViewAccess("private", "risk"))
    guarded.compile(replace(catalog, views={**catalog.views, "usual": changed}))
    health = guarded.client.get("/health", headers=guarded.header("ads")).json()
    assert health["waiting"] == ["usual"]
    assert guarded.ask("risk", "usual").status_code == 200
    assert guarded.ask("ops", "usual").status_code == 403


def test_access_counts_where_nothing_else_can_be_taken_over(guarded: Guarded) -> None:
    catalog = _with_access(guarded.project.catalog, usual=ViewAccess("private", "risk"))
    guarded.compile(replace(catalog, online="lmdb:///elsewhere"))
    health = guarded.client.get("/health", headers=guarded.header("ads")).json()
    assert "restart" in health["problem"]
    assert guarded.ask("ops", "usual").status_code == 403


@pytest.mark.parametrize("path", [FEAST, VECTORS])
def test_a_view_in_another_role_is_read_by_those_who_read_the_view(
    guarded: Guarded, path: str
) -> None:
    roles = {"buyer": Role("secret", {"carrier": "buyer_id"})}
    access = {**ACCESS, "buyer": ACCESS["secret"]}
    catalog = replace(guarded.project.catalog, roles=roles, access=access)
    guarded.compile(catalog)
    body = {"features": ["buyer:n", "open:n"], "entities": {"buyer_id": ["AA"], "carrier": ["AA"]}}
    if path == FEAST:
        body["full_feature_names"] = True  # type: ignore[assignment]

    def status(team: str) -> int:
        return guarded.client.post(path, json=body, headers=guarded.header(team)).status_code

    for _ in range(2):
        assert [status(team) for team in ("risk", "ops", "ads", "outside")] == [200, 403, 403, 403]
    guarded.compile(replace(catalog, access=ACCESS))  # nothing is known of the role
    assert status("risk") == 403


def test_a_catalog_of_an_older_version_lets_nobody_read(guarded: Guarded) -> None:
    guarded.compile(replace(guarded.project.catalog, access={}, groups=()))
    answer = guarded.ask("risk", "open")
    assert answer.status_code == 403 and "forebay compile" in answer.text


def test_without_a_gate_everybody_reads_everything(guarded: Guarded) -> None:
    with TestClient(create_app(guarded.project.catalog)) as client:
        body = {"features": ["secret:n"], "entities": {"carrier": ["AA"]}}
        assert client.post(FEAST, json=body).status_code == 200
        assert all(v["readable"] for v in client.get("/features").json()["views"])


def test_a_body_of_somebody_unknown_is_not_read(guarded: Guarded) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("the body is read")

    scope = {"type": "http", "method": "POST", "path": FEAST, "headers": []}
    asyncio.run(guarded.app(scope, receive, send))
    assert sent[0]["status"] == 401
