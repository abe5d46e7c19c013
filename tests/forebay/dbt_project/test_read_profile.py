"""Profiles are rendered as dbt renders them, and simple ones without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from feature_specs.errors import ForebayError
from forebay.dbt_project.read_profile import read_target

PROFILE = """\
shop:
  target: "{{ env_var('SHOP_TARGET', 'dev') }}"
  outputs:
    dev:
      type: duckdb
      path: "{{ env_var('SHOP_HOME') }}/x-{{ env_var(\\"SHOP_NAME\\", \\"none\\") }}.duckdb"
      threads: 4
    other: {path: "{{ env_var('NEVER_SET') }}"}
    hard:
      path: "{{ env_var('SHOP_HOME') | upper }}"
      threads: "{{ env_var('SHOP_THREADS', 3) | int }}"
"""


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOP_HOME", "/home/shop")
    for name in ("SHOP_TARGET", "SHOP_NAME", "NEVER_SET", "SHOP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "profiles.yml"
    file.write_text(PROFILE)
    return file


def by_dbt(file: Path, target: str) -> Any:
    import os

    from dbt.config.profile import read_profile
    from dbt.config.renderer import ProfileRenderer
    from dbt_common.context import set_invocation_context

    set_invocation_context(dict(os.environ))
    raw = read_profile(str(file.parent))["shop"]["outputs"][target]
    return ProfileRenderer({}).render_data(raw)


@pytest.mark.parametrize("target", ["dev", "hard"])
def test_a_target_is_what_dbt_makes_of_it(profile: Path, target: str) -> None:
    found = read_target(profile, "shop", target)
    assert found.output == by_dbt(profile, target)
    assert found.known == ["dev", "other", "hard"]


def test_values_and_defaults_of_variables(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_target(profile, "shop", None)
    assert found.name == "dev"
    assert found.output == {
        "type": "duckdb", "path": "/home/shop/x-none.duckdb", "threads": 4
    }  # fmt: skip
    monkeypatch.setenv("SHOP_NAME", "{{ not jinja }}")
    monkeypatch.setenv("SHOP_TARGET", "hard")
    assert read_target(profile, "shop", None).name == "hard"
    output = read_target(profile, "shop", "dev").output
    assert output is not None and output["path"] == "/home/shop/x-{{ not jinja }}.duckdb"


def test_a_variable_that_is_not_set_is_named(
    profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ForebayError, match="environment variable 'NEVER_SET' is not set"):
        read_target(profile, "shop", "other")
    monkeypatch.delenv("SHOP_HOME")
    for target in ("dev", "hard"):
        with pytest.raises(ForebayError, match="environment variable 'SHOP_HOME' is not set"):
            read_target(profile, "shop", target)


def test_what_is_not_there(profile: Path) -> None:
    assert read_target(profile, "shop", "prod").output is None
    assert read_target(profile, "store", None).known is None
    assert read_target(profile.with_name("none.yml"), "shop", None).known is None


def test_a_simple_profile_loads_no_dbt(profile: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from forebay.dbt_project.read_profile import read_target; "
        f"print(read_target(Path({str(profile)!r}), 'shop', 'dev').output['threads'], "
        "any(m == 'dbt' or m.startswith('dbt.') for m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "False"]
