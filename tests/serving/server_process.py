"""A real server in a process of its own, over a real socket, which a test may stop and start."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feature_specs.catalog import Catalog
from serving.settings import OPEN, ServeSettings
from tests.servers.process import free_port

_SERVER = """
import sys
from pathlib import Path
from feature_specs.catalog import load_catalog
from serving.server import serve
from serving.settings import ServeSettings
if __name__ == "__main__":
    path = Path(sys.argv[1])
    serve(load_catalog(path), "127.0.0.1", int(sys.argv[2]), int(sys.argv[3]), path,
          settings=ServeSettings.loads(sys.argv[4]))
"""


class ServerProcess:
    """A server of a catalog on a port of its own, which it keeps when it is started again.

    It takes over what is written to catalog.json in the folder.

    Attributes:
        url: where it answers.
        pid: of the process that was started last.
    """

    def __init__(
        self, catalog: Catalog, folder: Path, workers: int = 1, settings: ServeSettings = OPEN
    ) -> None:
        self._script, self._catalog = folder / "server.py", folder / "catalog.json"
        self._script.write_text(_SERVER)
        self._catalog.write_text(catalog.dumps())
        self._port, self._workers = free_port(), workers
        self._settings = settings.dumps()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"
        self.pid = 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, str(self._script), str(self._catalog)]
        process = subprocess.Popen([*command, str(self._port), str(self._workers), self._settings])
        self._process, self.pid = process, process.pid
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/metrics", timeout=5).close()
            except OSError:
                time.sleep(0.05)
                continue
            return
        raise AssertionError("the server ended")

    def kill(self) -> None:
        """Kill it, as a machine does that has no memory left."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Stop it, and wait until its process has ended."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


@contextmanager
def server_of(
    catalog: Catalog, folder: Path, workers: int = 1, settings: ServeSettings = OPEN
) -> Iterator[ServerProcess]:
    """A running server, stopped in the end."""
    server = ServerProcess(catalog, folder, workers, settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()
