"""A copy of the packages in which the compiler may be broken, apart from the one installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutation import ROOT, Mutation

_PARTS = ("feature_specs", "lineage", "lakehouse", "serving", "forebay", "tests", "pyproject.toml")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "node_modules")
_SHOW = "import feature_specs, tests; print(feature_specs.__file__); print(tests.__file__)"


class CopyError(Exception):
    """What would be tested is not the copy."""


@dataclass(frozen=True)
class Copy:
    """A folder that stands first on the path of what runs in it."""

    folder: Path

    def apply(self, mutation: Mutation) -> None:
        """Break the copy; ``restore`` fixes it."""
        (self.folder / mutation.path).write_text(mutation.applied(self.folder))

    def restore(self, mutation: Mutation, source: Path) -> None:
        """Bring back the file from an unbroken copy."""
        shutil.copyfile(source / mutation.path, self.folder / mutation.path)

    def run(
        self, arguments: Sequence[str], seconds: float, **variables: str
    ) -> subprocess.CompletedProcess[str] | None:
        """Run a module of the copy; None where it takes too long."""
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(self.folder),
                # A file that changes twice a second would be read from its stale bytecode.
                "PYTHONDONTWRITEBYTECODE": "1",
                **variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(arguments, process.returncode, output)


def make_copy(source: Path = ROOT) -> Copy:
    """Copy the packages into a temporary folder, and see that they are what is imported.

    Raises:
        CopyError: the editable install is imported in the copy's place.
    """
    copy = Copy(Path(tempfile.mkdtemp(prefix="forebay-mutation-")).resolve())
    for part in _PARTS:
        if (source / part).is_dir():
            shutil.copytree(source / part, copy.folder / part, ignore=_LEFT_OUT)
        else:
            shutil.copyfile(source / part, copy.folder / part)
    shown = copy.run(["-c", _SHOW], 120)
    found = shown.stdout.split() if shown is not None else []
    if len(found) != 2 or not all(Path(f).is_relative_to(copy.folder) for f in found):
        raise CopyError(f"{copy.folder} is not what is imported: {shown and shown.stdout}")
    return copy
