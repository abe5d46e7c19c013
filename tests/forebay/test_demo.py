"""Where the demo runs, and what it says at its end."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from feature_specs.errors import ForebayError
from forebay.demo import MARKER, make_project, next_steps
from forebay.scaffold.example import PARTS, example_root


def test_it_makes_its_own_folder_and_goes_on_in_it(tmp_path: Path) -> None:
    made = make_project(tmp_path / "demo")
    assert (made / "dbt_project.yml").read_text() == (example_root() / PARTS[-1]).read_text()
    (made / "lake").mkdir()
    assert make_project(made) == made
    assert (made / MARKER).exists()


def test_a_folder_that_is_anothers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: mine\n")
    with pytest.raises(ForebayError, match="no demo made it"):
        make_project(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["dbt_project.yml"]


def test_in_a_checkout_it_runs_at_the_root() -> None:
    assert make_project(example_root()) == example_root()


def test_its_last_lines_name_paths_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "a demo"
    root.mkdir()
    commands = [
        shlex.split(line) for line in next_steps(root).splitlines() if line.startswith("  ")
    ]
    change, preview, serve = commands[:3]
    assert change == ["cd", str(root)]
    assert (preview[1], serve[1]) == ("preview", "serve")
    for command in (preview, serve):
        assert command[0] == "forebay" or Path(command[0]).exists()
    monkeypatch.chdir(root)
    assert "cd " not in next_steps(root)
