"""Build hook: the wheel holds the top-level packages inside `forebay`, so that it installs one name.

In the repository `feature_specs`, `lineage`, `lakehouse` and `serving` are top-level packages, and
code imports them by those names. In site-packages such names would collide with other projects'
(PyPI has a `lineage`), so a wheel has `forebay.lineage`, and its import statements say so. Editable
installs are untouched: they put the repository on the path as it is.
"""

from __future__ import annotations

import ast
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = ("feature_specs", "lineage", "lakehouse", "serving")

_FROM = re.compile(rf"^(\s*)from ({'|'.join(PACKAGES)})(?=[. ])", re.MULTILINE)
_IMPORT = re.compile(rf"^(\s*)import ({'|'.join(PACKAGES)})$", re.MULTILINE)


class MoveInsideForebay(BuildHookInterface[Any]):
    """Write the packages with their imports renamed, and have the wheel take those."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fill the wheel. Does nothing for an editable install."""
        if version == "editable":
            return
        self._folder = Path(tempfile.mkdtemp(prefix="forebay-wheel-"))
        root = Path(self.root)
        for package in ("forebay", *PACKAGES):
            inside = Path("forebay") if package == "forebay" else Path("forebay", package)
            for source in sorted((root / package).rglob("*")):
                if source.is_dir() or "__pycache__" in source.parts:
                    continue
                target = self._folder / inside / source.relative_to(root / package)
                target.parent.mkdir(parents=True, exist_ok=True)
                if source.suffix == ".py":
                    target.write_text(moved(source.read_text(), str(source)))
                else:
                    shutil.copyfile(source, target)
        build_data["force_include"][str(self._folder / "forebay")] = "forebay"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was written for the wheel."""
        if version != "editable":
            shutil.rmtree(self._folder)


def moved(source: str, name: str) -> str:
    """Source with its imports of the packages naming them inside ``forebay``.

    Raises:
        ValueError: an import is written in a way that is not renamed.

    >>> moved("from serving.keys import encode\\n", "example.py")
    'from forebay.serving.keys import encode\\n'
    """
    text = _IMPORT.sub(r"\1from forebay import \2", _FROM.sub(r"\1from forebay.\2", source))
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [a.name for a in node.names]
        if isinstance(node, ast.ImportFrom):
            names = [] if node.level else [node.module or ""]
        if any(n.partition(".")[0] in PACKAGES for n in names):
            raise ValueError(
                f"{name}:{node.lineno}: write this import as `from package import name`"
            )
    return text
