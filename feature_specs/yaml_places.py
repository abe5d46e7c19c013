"""Where in a YAML file a node is declared, for errors that point at it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from feature_specs.errors import Location


def place_of(root: Path, node: dict[str, Any], field: str | None = None) -> Location:
    """File and line of a node's declaration, or of a field within it.

    Falls back to the node's SQL file where it has no YAML.
    """
    patch = str(node.get("patch_path") or "").partition("://")[2]
    file = patch or str(node.get("original_file_path", "dbt_project.yml"))
    path = root / file
    if not file.endswith((".yml", ".yaml")) or not path.exists():
        return Location(file)
    lines = path.read_text().splitlines()
    name = re.escape(str(node["name"]))
    start = next(
        (
            i
            for i, line in enumerate(lines)
            if re.search(rf"name:\s*['\"]?{name}['\"]?\s*([,}}#]|$)", line)
        ),
        None,
    )
    if start is None:
        return Location(file)
    if field is not None:
        for i in range(start, len(lines)):
            if re.search(rf"\b{re.escape(field)}\s*:", lines[i]):
                return Location(file, i + 1)
            if (
                i > start
                and re.match(r"\s*-\s*name:", lines[i])
                and _indent(lines[i]) <= _indent(lines[start])
            ):
                break
    return Location(file, start + 1)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
