"""dbt as a program of its own, where it has no Python API here: by its words, its log and its files."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from feature_specs.errors import ForebayError

#: Names the program; without it dbt runs in this process, if it can.
VARIABLE = "FOREBAY_DBT"
#: Commands in which the forebay plugin of dbt-duckdb commits tables to the lake.
_BY_PLUGIN = ("build", "run", "seed", "snapshot", "test", "run-operation")
#: The event of each line that `dbt ls` prints.
_PRINTED = "PrintEvent"


def dbt_program() -> str | None:
    """The program to run dbt by; None where dbt's Python API is to be called.

    Raises:
        ForebayError: there is neither.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return named
    if _has_api():
        return None
    found = shutil.which("dbt")
    if found is None:
        raise ForebayError(
            "there is no dbt here",
            where="this environment",
            hint=f"pip install 'dbt-core<2' dbt-duckdb, or name a dbt by {VARIABLE}=/path/to/dbt",
        )
    return found


def _has_api() -> bool:
    try:
        return importlib.util.find_spec("dbt.cli.main") is not None
    except ModuleNotFoundError:
        return False


@lru_cache
def dbt_version(program: str) -> tuple[int, ...]:
    """What version a program says that it is.

    Raises:
        ForebayError: it does not run, or says nothing of the kind.
    """
    try:
        command = [program, "--version"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ForebayError(
            f"it does not run: {error.strerror}", where=program, hint=f"correct {VARIABLE}"
        ) from None
    said = re.search(r"(\d+)\.(\d+)\.\d+", done.stdout + done.stderr)
    if said is None:
        raise ForebayError(
            "it says no version", where=program, hint=f"let {VARIABLE} name dbt's own program"
        )
    return int(said[1]), int(said[2])


def run_program(
    program: str, words: Sequence[str], root: Path, listen: Callable[[str, str], None]
) -> Any:
    """Run a dbt command, and give what dbt's own runner would give of it.

    ``parse`` and ``compile`` give the manifest, read from its file; ``ls`` the lines of JSON that it lists.

    Args:
        listen: called with the level and text of each line that dbt logs.

    Raises:
        ForebayError: this version of dbt cannot do it.
    """
    command = next(word for word in words if not word.startswith("-"))
    version = dbt_version(program)
    if version[0] >= 2 and command in _BY_PLUGIN:
        raise ForebayError(
            f"dbt {version[0]} has no Python plugins, by which feature tables are committed on "
            "DuckDB",
            where=program,
            hint="build with dbt 1 (pip install 'dbt-core<2'); all that only compiles or reads "
            "works with dbt 2",
        )
    target = root / "target"
    given = [w for w in words if w not in ("--no-write-json", "--quiet", "--no-use-colors")]
    options = ["--log-format", "json", "--no-use-colors", "--target-path", str(target)]
    names: list[str] = []
    process = subprocess.Popen(
        [program, *given, *options], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        info = _info(line)
        listen(str(info.get("level")), str(info.get("msg")))
        if info.get("name") == _PRINTED:
            names.append(str(info.get("msg")).strip())
    success = process.wait() == 0
    result: Any = None
    if command in ("parse", "compile") and success:
        result = read_manifest_file(target / "manifest.json")
    elif command == "ls":
        result = [name for name in names if name.startswith("{")]
    elif not success:
        result = _results(target / "run_results.json")
    manifest = result if command in ("parse", "compile") else None
    return SimpleNamespace(success=success, result=result, exception=None, manifest=manifest)


def _info(line: str) -> Mapping[str, Any]:
    try:
        info = json.loads(line)["info"]
    except (ValueError, KeyError, TypeError):
        return {"level": "info", "msg": line.rstrip()}  # written beside the log
    return info if isinstance(info, Mapping) else {}


def _results(path: Path) -> Any:
    try:
        found = json.loads(path.read_text())["results"]
    except (OSError, ValueError, KeyError):
        return None
    keys = ("unique_id", "status", "message")
    results = [SimpleNamespace(**{key: one.get(key) for key in keys}) for one in found]
    return SimpleNamespace(results=results)


class _Object(dict[str, Any]):
    """A mapping of the manifest with attributes, as dbt's own objects have them."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def to_dict(self, omit_none: bool = True) -> dict[str, Any]:
        return dict(self)


def read_manifest_file(path: Path) -> Any:
    """dbt's manifest from its file, of whatever version: what is read of it has always been there.

    Raises:
        ForebayError: it is not a manifest.
    """
    try:
        found = json.loads(path.read_text(), object_hook=_Object)
    except (OSError, ValueError) as error:
        raise ForebayError(
            f"dbt wrote no manifest that can be read: {error}", where=str(path), hint="run it again"
        ) from None
    needed = ("metadata", "nodes", "sources", "exposures", "macros")
    lacks = [name for name in needed if not isinstance(found.get(name), dict)]
    if lacks:
        raise ForebayError(
            f"this version of dbt writes a manifest without {', '.join(lacks)}",
            where=str(path),
            hint="use dbt 1.11 or 1.12",
        )
    found.setdefault("groups", _Object())
    return found
