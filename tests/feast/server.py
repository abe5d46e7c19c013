"""A server of a compiled catalog, as `forebay serve` runs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feature_specs.catalog import Catalog
from serving.settings import OPEN, ServeSettings

_PROGRAM = """\
import sys
from pathlib import Path
from feature_specs.catalog import load_catalog
from serving.server import serve
from serving.settings import ServeSettings
settings = ServeSettings.loads(sys.argv[2])
serve(load_catalog(Path(sys.argv[1])), "127.0.0.1", 0, int(sys.argv[3]), settings=settings)
"""


@contextmanager
def serving(
    catalog: Catalog, folder: Path, settings: ServeSettings = OPEN, workers: int = 1
) -> Iterator[str]:
    """The URL of a server of its own process."""
    path = folder / "served.json"
    path.write_text(catalog.dumps())
    words = [sys.executable, "-c", _PROGRAM, str(path), settings.dumps(), str(workers)]
    with started(words, folder) as url:
        yield url


@contextmanager
def started(words: list[str], folder: Path) -> Iterator[str]:
    """The URL that a command says on standard error that it serves on; it is stopped at the end."""
    process = subprocess.Popen(
        words, cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if line.startswith("serving on "):
                break
        assert "serving on " in said, said
        yield said.rsplit("serving on ", 1)[1].strip()
    finally:
        process.terminate()
        process.communicate(timeout=60)
