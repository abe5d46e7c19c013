"""Render lineage: a tree for a terminal, a Mermaid flowchart, plain values for JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lineage.effects import is_direct
from lineage.walk import Direction, Edge, Node

#: Kinds whose names say by themselves what they are.
_PLAIN = ("column", "feature")


def label(node: Node) -> str:
    """A thing as people read it."""
    return node.name if node.kind in _PLAIN else f"{node.name} ({node.kind})"


def tree(start: Node, edges: Sequence[Edge], direction: Direction) -> str:
    """Lines of a tree; what stands in it already is not opened again."""
    children: dict[Node, list[tuple[Node, Edge]]] = {}
    for edge in edges:
        near, far = (
            (edge.target, edge.source) if direction == "upstream" else (edge.source, edge.target)
        )
        children.setdefault(near, []).append((far, edge))
    return "\n".join([label(start), *_branches(start, children, "", {start})])


def _branches(
    node: Node, children: dict[Node, list[tuple[Node, Edge]]], before: str, seen: set[Node]
) -> Iterator[str]:
    found = children.get(node, [])
    for number, (child, edge) in enumerate(found, 1):
        last = number == len(found)
        how = f"  {' '.join(edge.effects)}" if edge.effects else ""
        again = "  ..." if child in seen and child in children else ""
        yield f"{before}{'└─' if last else '├─'} {label(child)}{how}{again}"
        if child not in seen:
            seen.add(child)
            yield from _branches(child, children, before + ("   " if last else "│  "), seen)


def mermaid(edges: Sequence[Edge]) -> str:
    """A flowchart from left to right, as Markdown shows it between ```mermaid fences."""
    nodes = dict.fromkeys(n for e in edges for n in (e.source, e.target))
    ids = {node: f"n{number}" for number, node in enumerate(nodes)}
    lines = ["flowchart LR"]
    lines += [f'  {ids[n]}["{_escaped(label(n))}"]' for n in nodes]
    for edge in edges:
        how = (
            f"|{' '.join(sorted({c.partition('+')[0] for c in edge.effects}))}|"
            if edge.effects
            else ""
        )
        direct = not edge.effects or any(map(is_direct, edge.effects))
        lines.append(f"  {ids[edge.source]} {'-->' if direct else '-.->'}{how} {ids[edge.target]}")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return re.sub(r'["<>&#]', lambda found: f"#{ord(found[0])};", text)


def as_json(edges: Sequence[Edge]) -> list[dict[str, Any]]:
    """Edges as plain values."""
    return [
        {
            "source": e.source._asdict(),
            "target": e.target._asdict(),
            "effects": list(e.effects),
        }
        for e in edges
    ]
