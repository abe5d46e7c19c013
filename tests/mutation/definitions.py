"""Where the functions and constants of a package stand."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock


@dataclass(frozen=True)
class Definition:
    """A function, method or constant: its file, and its part of the file's text."""

    path: Path
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.path.read_text()[self.start : self.end]


#: Python 3.11 counts how deep a tree is for all threads together, and fails where two parse at once.
_PARSING = Lock()


def parse(text: str) -> ast.Module:
    """The tree of a module, one thread at a time. Raises SyntaxError."""
    with _PARSING:
        return ast.parse(text)


@cache
def definitions(folder: Path) -> Mapping[str, list[Definition]]:
    """Name, or ``Class.member``, to where it is defined below a folder.

    >>> [d.path.name for d in definitions(Path("feature_specs/compile"))["maintain_state"]]
    ['maintain_state.py']
    """
    found: dict[str, list[Definition]] = {}
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text()
        starts = [0]
        for line in text.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        for name, node in _named(parse(text), ""):
            assert node.end_lineno is not None
            place = Definition(path, starts[node.lineno - 1], starts[node.end_lineno])
            found.setdefault(name, []).append(place)
    return found


def _named(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.stmt]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield prefix + child.name, child
        elif isinstance(child, ast.ClassDef):
            yield from _named(child, f"{child.name}.")
        elif isinstance(child, ast.Assign | ast.AnnAssign):
            targets = child.targets if isinstance(child, ast.Assign) else [child.target]
            for target in targets:
                for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                    if isinstance(name, ast.Name):
                        yield prefix + name.id, child
