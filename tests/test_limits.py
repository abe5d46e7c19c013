"""Modules end before line 400, and functions within 60 lines: what grows past it is asking to be two."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("feature_specs", "lineage", "lakehouse", "serving", "forebay")
MOST_IN_A_MODULE, MOST_IN_A_FUNCTION = 400, 60


def test_nothing_is_too_long() -> None:
    found = []
    for path in (p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py")):
        source, name = path.read_text(), path.relative_to(ROOT).as_posix()
        if source.count("\n") > MOST_IN_A_MODULE:
            found.append(f"{name}: {source.count(chr(10))} lines")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MOST_IN_A_FUNCTION:
                    found.append(f"{name}, {node.name}: {lines} lines")
    assert not found, "\n".join(found)
