"""All that a project lacks is said at once, with text that fixes it when pasted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from feature_specs.errors import ForebayError, SpecError
from forebay.dbt_project.check_setup import MACROS, PLUGIN_CONFIG
from forebay.dbt_project.project import Project

MACRO_FILE = "".join(
    f"{{% macro {name}() %}}{{% endmacro %}}\n"
    for name in ("request", "point_in_time", "forebay_ready")
)
PROJECT = "name: shop\nprofile: shop\n"
WHOLE_PROJECT = (
    PROJECT + f"macro-paths: [macros, {MACROS}]\non-run-start: '{{{{ forebay_ready() }}}}'\n"
)
PROFILE = """\
shop:
  target: dev
  outputs:
    dev:
      type: duckdb
      path: shop.duckdb
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without profiles, and no profiles named by the environment."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DBT_PROFILES_DIR", raising=False)
    return tmp_path / "home"


def make(root: Path, project: str, profile: str, macros: str = MACRO_FILE) -> Project:
    for name, text in (
        ("dbt_project.yml", project),
        ("profiles.yml", profile),
        ("macros/forebay.sql", macros),
    ):
        if text:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    return Project(root)


def plugin_of(config: dict[str, str], module: str = "forebay.dbt_plugin") -> str:
    lines = [f"        - module: {module}", "          alias: forebay", "          config:"]
    lines += [f"            {name}: {value}" for name, value in config.items()]
    return PROFILE + "      plugins:\n" + "".join(f"{line}\n" for line in lines)


def refused(project: Project) -> ForebayError:
    with pytest.raises(ForebayError) as error:
        project.check_setup()
    return error.value


def pasted(error: ForebayError) -> dict[str, str]:
    """What is to be pasted, by the file that each part is for."""
    parts = re.split(r"^# (.*)$", error.paste, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_a_bare_project_is_told_everything_at_once_and_the_text_mends_it(tmp_path: Path) -> None:
    project = make(tmp_path, PROJECT, PROFILE, macros="")
    error = refused(project)
    line, _, below = str(error).partition("\n\n")
    for said in (
        "profiles.yml: target 'dev' has no forebay plugin",
        "dbt_project.yml: macro-paths lacks target/forebay/macros, and on-run-start",
        "macros/forebay.sql: no macro request(), point_in_time(), forebay_ready()",
        "Hint: run `forebay init --here`",
    ):
        assert said in line
    assert below.strip() == error.paste.strip()
    parts = pasted(error)
    outputs = yaml.safe_load(PROFILE)
    outputs["shop"]["outputs"]["dev"].update(
        yaml.safe_load(parts["profiles.yml"])["shop"]["outputs"]["dev"]
    )
    fixed = make(tmp_path, PROJECT + parts["dbt_project.yml"], yaml.safe_dump(outputs))
    fixed.check_setup()
    assert fixed.online == f"lmdb://{tmp_path}/online.lmdb"


def test_every_missing_key_is_named_and_what_is_there_is_kept(tmp_path: Path) -> None:
    error = refused(make(tmp_path, WHOLE_PROJECT, plugin_of({"name": "sea", "type": "rest"})))
    assert "has no 'uri', 'online' in the plugin's config" in str(error)
    plugin = yaml.safe_load(error.paste)["shop"]["outputs"]["dev"]["plugins"][0]
    assert plugin["config"] == {
        "name": "sea",
        "type": "rest",
        "uri": "http://localhost:8181",
        "online": PLUGIN_CONFIG["online"],
    }


def test_the_plugins_former_module_is_told_its_name(tmp_path: Path) -> None:
    error = refused(make(tmp_path, WHOLE_PROJECT, plugin_of(PLUGIN_CONFIG, "lakehouse.dbt_plugin")))
    assert "names the module lakehouse.dbt_plugin, which is forebay.dbt_plugin now" in str(error)
    assert "module: forebay.dbt_plugin" in error.paste


def test_the_plugin_under_another_alias(tmp_path: Path) -> None:
    profile = plugin_of(PLUGIN_CONFIG).replace("alias: forebay", "alias: lake")
    assert "another alias than 'forebay'" in str(refused(make(tmp_path, WHOLE_PROJECT, profile)))


def test_hooks_and_macro_paths_that_are_there_are_kept_in_what_is_pasted(tmp_path: Path) -> None:
    text = PROJECT + "macro-paths: [macros, more]\non-run-start: \"select '1'\"\n"
    error = refused(make(tmp_path, text, plugin_of(PLUGIN_CONFIG)))
    assert yaml.safe_load(error.paste) == {
        "macro-paths": ["macros", "more", MACROS],
        "on-run-start": ["{{ forebay_ready() }}", "select '1'"],
    }


@pytest.mark.parametrize(
    ("project", "profile", "said"),
    [
        (PROJECT, PROFILE.replace("duckdb", "postgres"), "is postgres, and features are built on"),
        (PROJECT, PROFILE.replace("target: dev", "target: dve"), "did you mean 'dev'"),
        (PROJECT, PROFILE.replace("shop:", "other:"), "there is no profile 'shop'"),
        (PROJECT, "", "there is no such file"),
        ("name: shop\n", PROFILE, "it names no profile"),
    ],
)
def test_what_no_text_mends_is_one_line(
    tmp_path: Path, project: str, profile: str, said: str
) -> None:
    error = refused(make(tmp_path, project, profile))
    assert said in str(error) and "\n" not in str(error)


def test_a_whole_project_passes_and_macros_may_come_from_a_package(tmp_path: Path) -> None:
    make(tmp_path, WHOLE_PROJECT, plugin_of(PLUGIN_CONFIG), macros="")
    with pytest.raises(SpecError, match=r"macros/forebay\.sql: no macro request"):
        Project(tmp_path).check_setup()
    package = tmp_path / "dbt_packages" / "forebay" / "macros" / "own.sql"
    package.parent.mkdir(parents=True)
    package.write_text(MACRO_FILE)
    Project(tmp_path).check_setup()


def test_the_profile_in_the_home_folder_is_found(tmp_path: Path, home: Path) -> None:
    (home / ".dbt").mkdir(parents=True)
    (home / ".dbt" / "profiles.yml").write_text(plugin_of(PLUGIN_CONFIG))
    project = make(tmp_path / "shop", WHOLE_PROJECT, "")
    project.check_setup()
    assert project.profiles == home / ".dbt"
