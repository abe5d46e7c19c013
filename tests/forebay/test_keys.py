"""`forebay keys`, and dbt's groups and access modifiers in what is compiled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from feature_specs.access import ViewAccess
from feature_specs.catalog import load_catalog
from serving.access.keys_file import load_keys
from tests.forebay.conftest import Shell
from tests.forebay.small import PROFILES, VIEWS, make_project

pytestmark = pytest.mark.slow

GROUPS = """\
groups:
  - name: risk
    owner: {name: Risk, email: risk@x.org}
  - name: growth
    owner: {name: Growth}
"""


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    online = "online: lmdb://online.lmdb\n"
    assert online in PROFILES
    models, _, _ = VIEWS.partition("exposures:")  # dbt lets none read a private model
    models = models.replace(
        "feature_view\n", "feature_view\n      access: private\n      group: risk\n", 1
    )
    changed = {
        "profiles/profiles.yml": PROFILES.replace(
            online, f"{online}            serve: {{keys: keys.json}}\n"
        ),
        "models/views.yml": models.replace("ttl: 7 days", "ttl: 7 days, owner: Ann"),
        "models/groups.yml": GROUPS,
    }
    make_project(tmp_path, changed)
    return Shell(tmp_path, monkeypatch, capsys)


def test_access_and_groups_are_compiled(shell: Shell) -> None:
    assert shell.run("compile") == 0, shell.err
    path = shell.folder / "target/forebay/catalog.json"
    catalog = load_catalog(path)
    assert catalog.groups == ("growth", "risk")
    assert catalog.access == {
        "spending": ViewAccess("private", "risk", "risk@x.org"),
        "last_payment": ViewAccess("protected", "", "Ann"),
    }
    # Another access is taken, though no view means anything else.
    views = shell.folder / "models/views.yml"
    views.write_text(views.read_text().replace("access: private", "access: public"))
    assert shell.run("compile") == 0, shell.err
    after = load_catalog(path)
    assert after.access["spending"].access == "public"
    assert after.views == catalog.views


def test_a_key_is_created_listed_and_revoked(shell: Shell) -> None:
    assert shell.run("compile") == 0, shell.err
    assert shell.run("keys", "create", "risk") == 0, shell.err
    key = shell.out.strip()
    assert key.startswith("fbk_") and "it reads 2 of 2 views" in shell.err
    path = shell.folder / "keys.json"
    assert key[17:] not in path.read_text() + shell.err
    assert path.stat().st_mode & 0o777 == 0o600
    words = ("keys", "create", "ads", "--access", "public", "--expires", "90 days", "--json")
    assert shell.run(*words, "--group", "grwth") == 0, shell.err
    made = json.loads(shell.out)
    assert "it reads 0 of 2 views, not last_payment, spending" in shell.err
    assert "no dbt group 'grwth': did you mean 'growth'" in shell.err
    assert shell.run("keys", "list", "--json") == 0
    listed = {each["id"]: each for each in json.loads(shell.out)}
    assert listed[key[4:16]]["state"] == "good"
    assert listed[made["id"]]["groups"] == ["grwth"] and listed[made["id"]]["access"] == "public"
    assert shell.run("keys", "revoke", key[4:16]) == 0
    assert load_keys(path).keys[key[4:16]].revoked is not None
    assert shell.run("keys", "list") == 0
    assert shell.out.count("revoked") == 1 and shell.out.count("good") == 1
    # Another key of a team leaves what was said of it.
    assert shell.run("keys", "create", "ads") == 0
    assert load_keys(path).teams["ads"].groups == ("grwth",)


def test_mistakes_are_told_in_a_line(shell: Shell) -> None:
    assert "keys create" in shell.refused("keys", "list")
    assert "TEAM" in shell.refused("keys", "create", "a\nb")
    assert "--expires" in shell.refused("keys", "create", "a", "--expires", "1 month")
    assert not (shell.folder / "keys.json").exists()
    assert shell.run("keys", "create", "a") == 0
    key = shell.out.strip()
    assert key[17:] not in shell.refused("keys", "revoke", key)
    profiles = shell.folder / "profiles/profiles.yml"
    profiles.write_text(profiles.read_text().replace("{keys: keys.json}", "{kees: keys.json}"))
    assert "did you mean 'keys'" in shell.refused("keys", "list")
    assert "did you mean 'keys'" in shell.refused("serve")
    profiles.write_text(profiles.read_text().replace("            serve: {kees: keys.json}\n", ""))
    assert "--keys FILE" in shell.refused("keys", "list")
    assert shell.run("keys", "list", "--keys", "keys.json") == 0
