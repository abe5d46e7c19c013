"""What an error of each kind prints, and the code that the command exits with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.lake import find_table, open_lake
from tests.forebay.small import lake_of, make_project

pytestmark = pytest.mark.slow

FAULT = """
import sys
from forebay import __main__ as entry
from feature_specs import library_errors
from forebay.commands import sync
def fail(*args, **options):
    raise {error}
sync.find_project = fail
entry.main(["sync"])
"""


def run(tmp_path: Path, error: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", FAULT.format(error=error)]
    path = str(Path(__file__).parents[2])
    environment = {"PYTHONPATH": path, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **variables}
    return subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


def test_a_bug_is_one_line_and_exits_with_70(tmp_path: Path) -> None:
    done = run(tmp_path, "KeyError('x')")
    assert done.returncode == 70
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: internal error: KeyError: 'x' at ")
    assert "report it" in line and "FOREBAY_DEBUG=1" in line


def test_an_error_of_the_machine_is_one_line_and_exits_with_2(tmp_path: Path) -> None:
    done = run(tmp_path, "OSError(28, 'No space left on device', '/nowhere/x')")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: /nowhere/x: the disk is full") and "Hint: make room" in line


@pytest.mark.parametrize(("error", "code"), [("KeyError('x')", 70), ("OSError(28, 'full')", 2)])
def test_debugging_shows_the_traceback(tmp_path: Path, error: str, code: int) -> None:
    done = run(tmp_path, error, FOREBAY_DEBUG="1")
    assert done.returncode == code
    assert "Traceback" in done.stderr and "in fail" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_help_imports_none_of_the_libraries_to_tell_their_errors(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom forebay.__main__ import main\n"
        "try: main(['xyzzy'])\nexcept SystemExit as stop: assert stop.code == 2\n"
        "print([n for n in ('duckdb', 'lmdb', 'pyarrow', 'sqlalchemy', 'pyiceberg', 'dbt') "
        "if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
    assert done.stderr.startswith("error: no command is named 'xyzzy'. Hint: known: ")


def unread(words: list[str], folder: Path, *, errors: bool = False) -> tuple[int, str]:
    """A command whose output, or errors, go into a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "forebay", *words],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE if errors else writing,
            stderr=writing if errors else subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    return done.returncode, (done.stdout if errors else done.stderr) or ""


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["ingest", "--help"]])
def test_a_reader_that_went_away_is_left_in_peace(tmp_path: Path, words: list[str]) -> None:
    assert unread(words, tmp_path) == (141, "")


def test_errors_that_nobody_reads(tmp_path: Path) -> None:
    assert unread(["xyzzy"], tmp_path, errors=True) == (141, "")


def test_an_error_without_output_keeps_its_code(tmp_path: Path) -> None:
    code, said = unread(["compile"], tmp_path)
    assert (code, said.count("error: ")) == (2, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "expected"), [("build", 0), ("plan", 141)])
def test_work_is_done_though_nobody_reads_of_it(
    tmp_path: Path, command: str, expected: int
) -> None:
    """dbt does not mind that its lines go nowhere, so a build goes through."""
    root = make_project(tmp_path / "shop")
    code, said = unread([command, "--now", "2024-01-10T00:00:00Z"], root)
    assert code == expected and "Traceback" not in said and "BrokenPipe" not in said
    built = find_table(open_lake(lake_of(root)), "main.spending") is not None
    assert built == (command == "build")


def test_a_pipe_that_breaks_elsewhere_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, "BrokenPipeError(32, 'Broken pipe')")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "roken pipe" in done.stderr
