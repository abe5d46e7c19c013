"""A reader of a page: writes its files, types its commands, and holds its output to the page."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from tests.story.pages import Command, File, read_page

PORT = 6566


@dataclass
class Reader:
    """Types into a shell that has only an environment's commands, and no repository.

    Attributes:
        bin: the environment's scripts.
        folder: where it stands; ``cd`` moves it.
        outputs: what each command printed, by its text; of one typed twice the last.
    """

    bin: Path
    folder: Path
    outputs: dict[str, str] = field(default_factory=dict)
    typed: list[str] = field(default_factory=list)
    port: int = 0
    server: subprocess.Popen[bytes] | None = None

    def read(self, page: str) -> None:
        """Do all that a page says."""
        for step in read_page(page):
            if isinstance(step, File):
                self.write(step)
            else:
                self.type(step)

    def write(self, file: File) -> None:
        path = self.folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        assert path.exists() or not file.append, file.path
        before = path.read_text() if file.append else ""
        path.write_text(before + file.text)

    def type(self, command: Command) -> None:
        """Run a command and hold what it prints to what the page shows of it."""
        self.typed.append(command.text)
        if command.text.startswith("pip install "):
            return  # done once, in the environment of all these tests
        if command.text.startswith("cd "):
            self.folder = self.folder / shlex.split(command.text)[1]
            assert self.folder.is_dir()
            return
        if command.text == "forebay serve":
            self.serve()
            return
        printed = self.run(command.text.replace(f"localhost:{PORT}", f"localhost:{self.port}"))
        self.outputs[command.text] = printed
        lines = [" ".join(line.split()) for line in printed.splitlines()]
        for line in command.shown:
            assert " ".join(line.split()) in lines, f"{command.text}: {line!r} not in\n{printed}"

    def run(self, text: str) -> str:
        """What a command prints; it has to end well and without a traceback."""
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        printed = done.stdout + done.stderr
        print(f"$ {text}\n{printed}")  # shown where the test fails
        assert done.returncode == 0, f"{text}: exit code {done.returncode}\n{printed}"
        assert "Traceback" not in printed, printed
        return printed

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k in ("LANG", "LC_ALL", "TMPDIR", "TZ")}
        home = self.bin.parent / "home"
        home.mkdir(exist_ok=True)
        return {**kept, "PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(home)}

    def serve(self) -> None:
        """Start the server on a free port, and wait until it answers."""
        self.stop()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        log = self.folder / "target" / "serve.log"
        with log.open("wb") as sink:
            self.server = subprocess.Popen(
                [str(self.bin / "forebay"), "serve", "--port", str(self.port)],
                cwd=self.folder,
                env=self.environment(),
                stdout=sink,
                stderr=sink,
            )
        for _ in range(300):
            assert self.server.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).close()
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
                continue
            return
        raise AssertionError(f"the server does not answer: {log.read_text()}")

    def stop(self) -> None:
        if self.server is not None:
            self.server.terminate()
            self.server.wait(timeout=30)
            self.server = None
