"""`forebay init --here`: the project has all that it needs afterwards, and nothing else has changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from feature_specs.errors import ForebayError
from forebay.dbt_project.check_setup import PLUGIN_CONFIG
from forebay.dbt_project.project import Project
from forebay.scaffold.add_to_project import apply_edits, plan_edits
from tests.forebay.conftest import Shell

PROJECT = """\
# The shop's marts.
name: shop
profile: 'shop'
model-paths: ["models"]   # as ever
"""
PROFILE = """\
shop:
  target: dev
  outputs:
    dev:
      type: duckdb
      path: shop.duckdb   # local
    prod:
      type: postgres
"""
PROJECTS = {
    "bare": PROJECT,
    "paths": PROJECT + 'macro-paths: ["macros", "more"]\nclean-targets:\n  - "dbt_packages"\n',
    "block": PROJECT
    + "macro-paths:\n- macros\n# hooks\non-run-start:\n  - \"select '1'\"  # one\n",
    "scalar": PROJECT + "on-run-start: \"{{ log('go') }}\"\nmodels:\n  shop: {}",
    "none": PROJECT + "macro-paths: []\n",
    "windows": (PROJECT + "on-run-start: \"select '1'\"\n").replace("\n", "\r\n"),
}
PROFILES = {
    "bare": PROFILE,
    "flow": "shop: {target: dev, outputs: {dev: {type: duckdb, path: 'shop.duckdb'}}}\n",
    "others": PROFILE.replace(
        "    prod:", "      plugins:\n        - module: excel  # sheets\n    prod:"
    ),
    "listed": PROFILE.replace("    prod:", "      plugins: [{module: excel}]\n    prod:"),
    "part": PROFILE.replace(
        "    prod:",
        "      plugins:\n        - module: lakehouse.dbt_plugin\n          alias: lake\n"
        "          config: {name: sea, type: rest}\n        - module: excel\n    prod:",
    ),
    "last": PROFILE.partition("    prod:")[0].rstrip(),
    "env": PROFILE.replace("shop.duckdb", "\"{{ env_var('HOME') }}/shop.duckdb\""),
}


@pytest.fixture(autouse=True)
def no_profiles_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DBT_PROFILES_DIR", raising=False)


def write(root: Path, project: str = PROJECT, profile: str = PROFILE) -> Project:
    root.mkdir(exist_ok=True)
    (root / "dbt_project.yml").write_bytes(project.encode())
    (root / "profiles.yml").write_bytes(profile.encode())
    return Project(root)


def lines(path: Path) -> Iterator[str]:
    yield from path.read_bytes().decode().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("project", "profile"),
    [*((project, "others") for project in PROJECTS), *(("block", profile) for profile in PROFILES)],
)
def test_afterwards_nothing_is_missing_and_nothing_else_changed(
    tmp_path: Path, project: str, profile: str
) -> None:
    root = tmp_path / "shop"
    edits = plan_edits(write(root, PROJECTS[project], PROFILES[profile]))
    assert {e.path.name for e in edits} == {
        "dbt_project.yml", "profiles.yml", "forebay.sql", ".gitignore",
    }  # fmt: skip
    apply_edits(edits)
    after = Project(root)
    after.check_setup()
    assert plan_edits(Project(root)) == []
    raw = (root / "dbt_project.yml").read_bytes()
    assert raw.count(b"\r\n") in (0, raw.count(b"\n"))
    assert (b"\r\n" in raw) == (project == "windows")
    text = raw.decode() + (root / "profiles.yml").read_text()
    was = PROJECTS[project] + PROFILES[profile]
    for comment in ("# The shop's marts.", "# as ever", "# hooks", "# one", "# local", "# sheets"):
        assert (comment in text) == (comment in was)
    hooks = yaml.safe_load(raw)["on-run-start"]
    assert hooks[0] == "{{ forebay_ready() }}"
    assert hooks[1:] == ([] if project in ("bare", "paths", "none") else hooks[1:2])
    assert yaml.safe_load(raw)["macro-paths"][0] == "macros"
    if profile == "part":
        assert after.plugin["name"] == "sea" and after.plugin["type"] == "rest"
    dev = yaml.safe_load((root / "profiles.yml").read_text())["shop"]["outputs"]["dev"]
    modules = [p["module"] for p in dev["plugins"]]
    assert sorted(modules)[-1] == "forebay.dbt_plugin" and len(modules) <= 2


def test_lines_are_only_added(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    project = write(root, PROJECTS["block"], PROFILES["others"])
    before = {name: list(lines(root / name)) for name in ("dbt_project.yml", "profiles.yml")}
    edits = plan_edits(project)
    for edit in edits:
        removed = [x for x in edit.diff(root).splitlines()[2:] if x.startswith("-")]
        assert removed == [], removed
    apply_edits(edits)
    for name, old in before.items():
        assert [line for line in lines(root / name) if line in old] == old


def test_what_is_ignored_already_is_not_ignored_twice(tmp_path: Path) -> None:
    project = write(tmp_path)
    (tmp_path / ".gitignore").write_text("/target\nlogs/\n*.log")
    apply_edits(plan_edits(project))
    assert (tmp_path / ".gitignore").read_text() == (
        "/target\nlogs/\n*.log\nlake/\nonline.lmdb/\nserved_vectors/\n.user.yml\n"
    )


def test_a_profile_behind_a_link_is_changed_where_it_stands(tmp_path: Path) -> None:
    project = write(tmp_path / "shop")
    dotfiles = tmp_path / "dotfiles.yml"
    (project.root / "profiles.yml").rename(dotfiles)
    dotfiles.chmod(0o600)
    (project.root / "profiles.yml").symlink_to(dotfiles)
    apply_edits(plan_edits(project))
    assert (project.root / "profiles.yml").is_symlink()
    assert "forebay.dbt_plugin" in dotfiles.read_text()
    assert dotfiles.stat().st_mode & 0o777 == 0o600


def test_a_target_written_by_reference_is_told_what_to_paste(tmp_path: Path) -> None:
    profile = PROFILE.replace(
        "    dev:\n", "    ci: &ci\n      type: duckdb\n    dev: *ci\n    x:\n"
    )
    project = write(tmp_path, profile=profile)
    with pytest.raises(ForebayError) as error:
        plan_edits(project)
    assert "forebay.dbt_plugin" in error.value.paste
    assert (tmp_path / "profiles.yml").read_text() == profile


def test_no_file_changes_when_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write(tmp_path)
    edits = plan_edits(project)
    written = Path.write_bytes
    calls: list[Path] = []

    def full(self: Path, data: bytes) -> int:
        calls.append(self)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return written(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        apply_edits(edits)
    assert (tmp_path / "dbt_project.yml").read_text() == PROJECT
    assert (tmp_path / "profiles.yml").read_text() == PROFILE
    left = sorted(p.name for p in tmp_path.rglob("*") if p.is_file())
    assert left == ["dbt_project.yml", "profiles.yml"]


def test_macros_of_the_users_own_that_have_our_names(tmp_path: Path) -> None:
    project = write(tmp_path)
    (tmp_path / "macros").mkdir()
    (tmp_path / "macros" / "web.sql").write_text("{% macro request(x) %}{% endmacro %}")
    with pytest.raises(ForebayError, match="request is there already"):
        plan_edits(project)


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(write(tmp_path / "shop").root, monkeypatch, capsys)


def test_dry_run_shows_the_diff_and_writes_nothing(shell: Shell) -> None:
    assert shell.run("init", "--here", "--dry-run") == 0
    for said in ("+macro-paths: [macros, target/forebay/macros]", "+lake/", "--- /dev/null"):
        assert said in shell.out
    assert (shell.folder / "dbt_project.yml").read_text() == PROJECT
    assert not (shell.folder / ".gitignore").exists()


def test_without_anybody_to_ask_it_changes_nothing(shell: Shell) -> None:
    assert "say --yes" in shell.refused("init", "--here")
    assert (shell.folder / "profiles.yml").read_text() == PROFILE


def test_yes_changes_all_and_once(shell: Shell) -> None:
    assert shell.run("init", "--here", "--yes") == 0
    assert "changed 4 files" in shell.out and "forebay compile" in shell.out
    assert shell.run("init", "--here", "--yes") == 0
    assert shell.out.startswith("nothing to change")
    config = yaml.safe_load((shell.folder / "profiles.yml").read_text())
    assert config["shop"]["outputs"]["dev"]["plugins"][0]["config"] == PLUGIN_CONFIG


def test_another_target_than_duckdb(shell: Shell) -> None:
    assert "is postgres" in shell.refused("init", "--here", "--target", "prod", "--yes")


def test_options_that_do_not_go_together(shell: Shell) -> None:
    assert "takes neither" in shell.refused("init", "x", "--here")
    assert "go with --here" in shell.refused("init", "x", "--yes")
    assert "name a PATH" in shell.refused("init")
