"""Debian's Chromium, driven by Playwright, and axe-core, which judges pages for assistive technology."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.servers.process import CACHE, ServerError, fetch_once

AXE_VERSION = "4.14.1"
_PACKAGES = ("chromium", "fonts-dejavu-core")


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium.

    Raises:
        ServerError: it is neither installed nor to be had.
    """
    path = _chromium()
    # Root has no sandbox of its own; all pages are of the tests' own server.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=path, args=options)
        try:
            yield made
        finally:
            made.close()


def axe_script() -> str:
    """The text of axe-core, from npm's registry, fetched once.

    Raises:
        ServerError: npm cannot fetch it.
    """
    return (fetch_once(f"axe-core-{AXE_VERSION}", _fetch_axe) / "axe.min.js").read_text()


def _chromium() -> str:
    """The path of the installed Chromium; installed now where it is missing."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = shutil.which("chromium")
        if found is None:
            _install()
            found = shutil.which("chromium")
    if found is None:
        raise ServerError("no Chromium: install Debian's package chromium")
    return found


def _install() -> None:
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *_PACKAGES]
    try:
        if _run(install).returncode:
            _run(["apt-get", "update", "-q"])
            done = _run(install)
            if done.returncode:
                raise ServerError(f"apt does not install chromium: {done.stderr[-2000:]}")
    except FileNotFoundError as error:
        raise ServerError(f"no Chromium, and no apt-get to install it: {error}") from None


def _fetch_axe(folder: Path) -> None:
    done = _run(["npm", "pack", "--silent", f"axe-core@{AXE_VERSION}"], folder)
    if done.returncode:
        raise ServerError(f"npm cannot fetch axe-core: {done.stderr[-2000:]}")
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as packed:
        member = packed.extractfile("package/axe.min.js")
        assert member is not None
        (folder / "axe.min.js").write_bytes(member.read())
    archive.unlink()


def _run(command: Sequence[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
