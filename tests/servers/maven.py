"""Jars by Maven: what a small pom.xml names, with all that it depends on."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from tests.servers.process import ServerError, fetch_once


def fetch_jars(name: str, pom: Path) -> Path:
    """The folder of the jars of ``pom``, kept in the cache under ``name`` and the pom's content."""
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]

    def fetch(folder: Path) -> None:
        command = ["mvn", "-B", "-q", "-f", str(pom), "dependency:copy-dependencies"]
        options = ["-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServerError(f"Maven cannot fetch {name}: {(done.stdout + done.stderr)[-2000:]}")

    return fetch_once(f"{name}-{digest}", fetch)
