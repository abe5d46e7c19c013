"""What an error of each kind prints, and the code that the command exits with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
