"""A fresh environment with forebay from its wheel, made once."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.story.reader import Reader

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment's scripts. forebay in it is the wheel's and no other.

    What forebay depends on is this environment's own, by a line in a .pth file: two minutes of
    installing would show nothing more. Its .pth files, and so the checkout, are not read that way.
    """
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    inside = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    (Path(inside.stdout.strip()) / "dependencies.pth").write_text(
        sysconfig.get_path("purelib") + "\n"
    )
    dbt = folder / "bin" / "dbt"
    dbt.write_text(f"#!{python}\nfrom dbt.cli.main import cli\ncli()\n")
    dbt.chmod(0o755)
    return folder / "bin"


@pytest.fixture
def reader(environment: Path, tmp_path: Path) -> Iterator[Reader]:
    """A reader who has installed forebay and stands in an empty folder."""
    made = Reader(environment, tmp_path)
    yield made
    made.stop()
