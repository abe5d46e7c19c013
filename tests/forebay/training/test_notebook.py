"""docs/notebook.ipynb: it runs in the project that `init` makes, and draws its pictures."""

from __future__ import annotations

import base64
import os
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.image
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[3] / "docs" / "notebook.ipynb"
#: The repository, before whatever is installed.
PATH = os.pathsep.join([str(PAGE.parents[1]), os.environ.get("PYTHONPATH", "")])
PICTURES = 3


def _outputs(notebook: Any, kind: str) -> list[str]:
    found = [
        output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])
    ]
    return [data[kind] for data in found if kind in data]


def _drawn(png: str) -> float:
    """The share of a picture's points that are not white."""
    colors = matplotlib.image.imread(BytesIO(base64.b64decode(png)))[..., :3]
    return float(np.mean(np.min(colors, axis=-1) < 0.95))


def test_the_notebook_runs(shop: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", PATH)
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    kept = nbformat.read(PAGE, as_version=4)
    nbformat.validate(kept)
    run = nbformat.from_dict(kept)
    for cell in run.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(run, timeout=120, resources={"metadata": {"path": str(shop)}}).execute()
    for notebook in (kept, run):
        pictures = _outputs(notebook, "image/png")
        assert len(pictures) == PICTURES
        assert all(0.02 < _drawn(picture) < 0.6 for picture in pictures), pictures
        tables = _outputs(notebook, "text/html")
        assert len(tables) == 3 and "card_activity" in tables[0] and "<td>" in tables[2]
        told = [o["text"] for c in notebook.cells for o in c.get("outputs", []) if "text" in o]
        assert len(told) == 1
        share, _, rest = told[0].partition("% of ")
        assert int(share) > 50 and rest.endswith(" labels have another value\n")
