"""Ask a Feast repository what has been applied, in the Python that has Feast."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from feature_specs.errors import ForebayError
from forebay.import_feast import dump_registry
from forebay.import_feast.registry import Registry, parse_registry


def read_registry(repository: Path, python: str | None = None) -> Registry:
    """What `feast apply` wrote last, of the repository's own project.

    Args:
        repository: the folder of feature_store.yaml.
        python: the Python that has Feast; by default this one.

    Raises:
        ForebayError: it is not a Feast repository, that Python has no Feast, Feast fails, or nothing
            has been applied.
    """
    if not (repository / "feature_store.yaml").is_file():
        raise ForebayError(
            "it has no feature_store.yaml",
            where=str(repository),
            hint="name the folder of a Feast repository",
        )
    registry = parse_registry(_dump(repository, python or sys.executable))
    if registry.is_empty:
        raise ForebayError(
            f"nothing of project {registry.project!r} is in its registry",
            where=str(repository),
            hint="run `feast apply` there first: what was applied is what is imported",
        )
    return registry


def _dump(repository: Path, python: str) -> dict[str, Any]:
    # As text, in the repository's folder, where `feast` itself finds a repository's own modules;
    # as a file it would have this folder's modules before Feast's.
    program = Path(dump_registry.__file__).read_text()
    # A path is meant from here; a bare name is looked for on PATH. A link stays one: it is how a
    # virtual environment's Python knows its packages.
    command = str(Path(python).absolute()) if os.sep in python else python
    try:
        done = subprocess.run(
            [command, "-c", program],
            cwd=repository,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise ForebayError(
            f"{python} cannot be run: {error.strerror}",
            where="--python",
            hint="name the Python of the environment that has Feast, such as venv/bin/python",
        ) from None
    last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
    if done.returncode == dump_registry.NO_FEAST:
        raise ForebayError(
            f"{python} has no Feast: {last}",
            where="--python",
            hint="name the Python of the environment that has it: --python venv/bin/python",
        )
    if done.returncode:
        raise ForebayError(
            f"Feast cannot read the repository: {last[:300]}",
            where=str(repository),
            hint="fix what `feast apply` says there, or name another Feast by --python",
        )
    return dict(json.loads(done.stdout))
