"""dbt is asked again whenever anything that decides its manifest has changed, and only then."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import forebay.dbt_project.read_manifest
from forebay.compilation.compile_project import compile_project
from forebay.dbt_project.project import Project
from forebay.dbt_project.read_manifest import read_manifest
from tests.forebay.small import edit, make_project

PLAIN = {"metadata": {"project_name": "shop"}, "nodes": {}, "sources": {}, "exposures": {}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_project(
        tmp_path / "shop",
        {
            "seeds/countries.csv": "code\nAT\n",
            "packages.yml": "packages: []\n",
            "dbt_packages/utils/dbt_project.yml": "name: utils\nmacro-paths: [jinja]\n",
            "dbt_packages/utils/jinja/one.sql": "{% macro one() %}1{% endmacro %}\n",
            "macros/own.sql": "{% macro own() %}{{ env_var('SHOP_ZONE', 'UTC') }}{% endmacro %}\n",
        },
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A word for each time that dbt was asked; it answers with an empty project."""
    times: list[str] = []

    def answer(project: Project, same_files: bool) -> Any:
        times.append("asked")
        return forebay.dbt_project.read_manifest.Answer(PLAIN, True, {})

    monkeypatch.setattr(forebay.dbt_project.read_manifest, "ask_dbt", answer)
    return times


def touch(root: Path) -> None:
    for path in (root / "models").iterdir():
        path.touch()


def add(file: str, text: str = "x\n") -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + text)

    return change


CHANGES = {
    "a model": add("models/spending.sql", "-- changed\n"),
    "a new model": add("models/new/another.sql", "select 1 as x\n"),
    "a model that is gone": lambda root: (root / "models/spending.sql").unlink(),
    "a model by another name": lambda root: (root / "models/spending.sql").rename(
        root / "models/spent.sql"
    ),
    "a model's YAML": add("models/views.yml", "# changed\n"),
    "a macro": add("macros/own.sql", "{# changed #}\n"),
    "a seed": add("seeds/countries.csv", "DE\n"),
    "a snapshot": add("snapshots/s.sql"),
    "a test": add("tests/t.sql"),
    "dbt_project.yml": add("dbt_project.yml", "# changed\n"),
    "a var": lambda root: edit(root, "dbt_project.yml", "2024-01-10", "2024-01-11"),
    "profiles.yml": add("profiles/profiles.yml", "# changed\n"),
    "packages.yml": add("packages.yml", "# changed\n"),
    "the packages' lock": add("package-lock.yml"),
    "a package's macro": add("dbt_packages/utils/jinja/one.sql", "{# changed #}\n"),
    "a package's YAML": add("dbt_packages/utils/models/m.yml", "models: []\n"),
    "a new package": add("dbt_packages/more/dbt_project.yml", "name: more\n"),
    ".dbtignore": add(".dbtignore"),
    "selectors.yml": add("selectors.yml", "selectors: []\n"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_asks_dbt_again(
    root: Path, asked: list[str], change: Callable[[Path], None]
) -> None:
    project = Project(root)
    for _ in range(2):
        read_manifest(project)
    assert len(asked) == 1
    change(root)
    for _ in range(2):
        read_manifest(Project(root))
    assert len(asked) == 2


UNCHANGED = {
    "nothing": lambda root: None,
    "times alone": touch,
    "what is generated": add("target/forebay/macros/forebay_service_x.sql"),
    "what dbt writes": add("target/manifest.json"),
    "a file beside the project's": add("notes/todo.txt"),
}


@pytest.mark.parametrize("change", UNCHANGED.values(), ids=UNCHANGED.keys())
def test_what_decides_nothing_asks_nothing(
    root: Path, asked: list[str], change: Callable[[Path], None]
) -> None:
    read_manifest(Project(root))
    change(root)
    read_manifest(Project(root))
    assert len(asked) == 1


def test_variables_that_are_named_count_and_others_do_not(
    root: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_ZONE", raising=False)
    for name, value, times in [
        ("SHOP_OTHER", "1", 1), ("SHOP_ZONE", "CET", 2), ("SHOP_ZONE", "CET", 2),
        ("DBT_VARS_X", "1", 3), ("SHOP_ZONE", "EST", 4),
    ]:  # fmt: skip
        if not asked:
            read_manifest(Project(root))
        monkeypatch.setenv(name, value)
        read_manifest(Project(root))
        assert len(asked) == times, name
    # A name that is put together may be any.
    add("macros/any.sql", "{% macro any(n) %}{{ env_var('A_' ~ n) }}{% endmacro %}")(root)
    read_manifest(Project(root))
    monkeypatch.setenv("SHOP_OTHER", "2")
    read_manifest(Project(root))
    assert len(asked) == 6


def test_another_target_or_profile_asks_again(
    root: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for target in (None, "dev", "dev", None):
        read_manifest(Project(root, target))
    assert len(asked) == 3
    monkeypatch.setenv("DBT_PROFILES_DIR", str(root / "elsewhere"))
    add("elsewhere/profiles.yml", (root / "profiles/profiles.yml").read_text())(root)
    read_manifest(Project(root))
    assert len(asked) == 4


def test_another_version_of_dbt_asks_again(
    root: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read_manifest(Project(root))
    (tmp_path / "site" / "dbt_loom-0.1.dist-info").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site")])
    read_manifest(Project(root))
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("models/clock.yml", 'models: [{name: x, config: {enabled: "{{ run_started_at.hour > 3 }}"}}]'),
        ("models/clock.sql", "{{ config(enabled=modules.datetime.datetime.now().hour > 3) }} select 1"),
        ("dbt_project.yml", "# {{ invocation_id }}\n"),
        ("dbt_packages/utils/models/clock.yml", "models: [{name: '{{ run_started_at }}'}]"),
    ],
)  # fmt: skip
def test_jinja_that_says_another_thing_each_run_is_never_kept(
    root: Path, asked: list[str], file: str, text: str
) -> None:
    add(file, text)(root)
    for _ in range(2):
        read_manifest(Project(root))
    assert len(asked) == 2


def test_paths_that_only_dbt_can_render_are_never_kept(root: Path, asked: list[str]) -> None:
    edit(root, "dbt_project.yml", "model-paths: [models]", "model-paths: [\"{{ 'models' }}\"]")
    for _ in range(2):
        read_manifest(Project(root))
    assert len(asked) == 2


def test_a_file_that_changes_while_dbt_reads_is_not_missed(
    root: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = forebay.dbt_project.read_manifest.ask_dbt

    def slow(project: Project, same_files: bool) -> Any:
        add("models/spending.sql", "-- meanwhile\n")(root)
        return before(project, same_files)

    monkeypatch.setattr(forebay.dbt_project.read_manifest, "ask_dbt", slow)
    read_manifest(Project(root))
    monkeypatch.setattr(forebay.dbt_project.read_manifest, "ask_dbt", before)
    read_manifest(Project(root))
    assert len(asked) == 2


@pytest.mark.parametrize("spoilt", ["", "{", "[]", '{"format": 1}'])
def test_a_spoilt_file_is_not_read(root: Path, asked: list[str], spoilt: str) -> None:
    read_manifest(Project(root))
    (root / "target/forebay/manifest.json").write_text(spoilt)
    read_manifest(Project(root))
    assert len(asked) == 2


MODULES = ("dbt", "sqlglot")


def loaded(root: Path, *words: str) -> list[str]:
    """Those of MODULES that a command has loaded in the end."""
    code = (
        "import sys\nfrom forebay.__main__ import main\n"
        f"try:\n    main({list(words)!r})\nexcept SystemExit as stop:\n    assert not stop.code\n"
        f"print(*[m for m in {MODULES!r} if m in sys.modules], sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line in MODULES]


@pytest.mark.slow
def test_the_kept_manifest_is_dbts_own_and_no_dbt_is_loaded(root: Path) -> None:
    compile_project(Project(root))
    catalog = (root / "target/forebay/catalog.json").read_text()
    assert loaded(root, "compile") == []
    assert (root / "target/forebay/catalog.json").read_text() == catalog
    assert loaded(root, "plan") == []
    assert "dbt" not in loaded(root, "explain", "spending")
    assert "dbt" not in loaded(root, "preview", "spending", "--key", "customer=a")
    edit(root, "models/spending.sql", "'60' day", "'45' day")
    assert "dbt" in loaded(root, "compile")
    assert "interval '45' day" in str(read_manifest(Project(root)).nodes)
    assert not (root / "target/shop.duckdb").exists()


@pytest.mark.slow
def test_a_view_that_asks_the_database_is_read_anew_each_time(root: Path) -> None:
    edit(
        root, "models/spending.sql", "select customer,",
        "{% set n = run_query('select 60').rows[0][0] if execute else 0 %}\n"
        "select customer, {{ n }} as n,",
    )  # fmt: skip
    read_manifest(Project(root))
    assert "manifest" not in json.loads((root / "target/forebay/manifest.json").read_text())


@pytest.mark.slow
def test_a_macro_under_a_view_with_a_clock_is_read_anew(root: Path) -> None:
    add("macros/own.sql", "{% macro day() %}{{ run_started_at.day }}{% endmacro %}")(root)
    read_manifest(Project(root))
    kept = root / "target/forebay/manifest.json"
    assert json.loads(kept.read_text())["manifest"]["nodes"]  # no view calls it
    edit(root, "models/stg_payments.sql", "select *", "select *, {{ day() }} as d")
    read_manifest(Project(root))
    assert "manifest" not in json.loads(kept.read_text())


@pytest.mark.slow
def test_a_model_that_went_away_and_came_back_is_a_feature_view_again(root: Path) -> None:
    texts = {p: p.read_text() for p in (root / "models").iterdir()}
    read_manifest(Project(root))
    (root / "models/last_payment.sql").unlink()
    edit(root, "models/views.yml", ", ref('last_payment')", "")
    assert list(read_manifest(Project(root)).view_ids().values()) == ["spending"]
    for path, text in texts.items():
        path.write_text(text)
    names = read_manifest(Project(root)).view_ids().values()
    assert list(names) == ["last_payment", "spending"]
