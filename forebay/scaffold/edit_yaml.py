"""Edits of YAML as text: what is added is added, and every other character stays as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import yaml


def add_to_list(text: str, key: str, item: str, *, first: bool = False) -> str:
    """Add a string to a list at the top of a document, where one string counts as a list of one.

    Args:
        item: the value, not its YAML.
        first: put it before the others rather than behind.

    >>> add_to_list("macro-paths: [macros]  # ours\\n", "macro-paths", "more")
    'macro-paths: [macros, more]  # ours\\n'
    """
    node = find(text, [key])
    written = scalar(item)
    if node is None:
        return _with_last_newline(text) + f"{key}: [{written}]\n"
    if isinstance(node, yaml.ScalarNode):
        old = [] if node.tag.endswith(":null") else [_listed(text, node)]
        items = [written, *old] if first else [*old, written]
        space = "" if text[node.start_mark.index - 1] in " \t" else " "
        return _replace(text, node, f"{space}[{', '.join(items)}]")
    if not isinstance(node, yaml.SequenceNode):
        raise ValueError(f"{key} is not a list")
    if node.flow_style:
        return _add_to_flow(text, node, written, first)
    line = f"{' ' * node.start_mark.column}- {written}\n"
    at = _line_start(text, node.start_mark.index) if first else _end_of_block(text, node)
    return _insert_lines(text, at, line)


def add_to_mapping(text: str, path: Sequence[str], key: str, block: str, flow: str) -> str:
    """Add a key to a mapping.

    Args:
        path: keys that lead to the mapping.
        block: the value's lines, indented from 0, for a mapping in block style.
        flow: the value on one line, for one in flow style.
    """
    node = find(text, path)
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise ValueError(f"{'.'.join(path)} is not a mapping with keys")
    if node.flow_style:
        return _insert(text, node.value[-1][1].end_mark.index, f", {key}: {flow}")
    indent = " " * node.value[0][0].start_mark.column
    lines = f"{indent}{key}:\n" + indented(block, indent + "  ")
    return _insert_lines(text, _end_of_block(text, node), lines)


def add_item(text: str, path: Sequence[str], block: str, flow: str) -> str:
    """Add an item to a list of mappings.

    Args:
        path: keys that lead to the list.
        block: the item's lines, ``- `` included, indented from 0.
        flow: the item on one line.
    """
    node = find(text, path)
    if not isinstance(node, yaml.SequenceNode):
        raise ValueError(f"{'.'.join(path)} is not a list")
    if node.flow_style:
        return _add_to_flow(text, node, flow, first=False)
    lines = indented(block, " " * node.start_mark.column)
    return _insert_lines(text, _end_of_block(text, node), lines)


def replace_item(text: str, path: Sequence[str], number: int, block: str, flow: str) -> str:
    """Put another item in the place of one in a list of mappings."""
    node = find(text, path)
    if not isinstance(node, yaml.SequenceNode):
        raise ValueError(f"{'.'.join(path)} is not a list")
    item = node.value[number]
    if node.flow_style or item.flow_style:
        return _replace(text, item, flow)
    end = _end_of_block(text, item)
    lines = indented(block, " " * node.start_mark.column)
    start = _line_start(text, item.start_mark.index)
    return _insert_lines(text[:start] + text[end:], start, lines)


def find(text: str, path: Sequence[str]) -> yaml.Node | None:
    """The node at the end of keys, None where one of them is not there."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in path:
        if not isinstance(node, yaml.MappingNode):
            return None
        node = next((value for name, value in node.value if name.value == key), None)
    return node if isinstance(node, yaml.Node) else None


def scalar(value: str) -> str:
    """A string as it may stand in a list: plain where that is safe, else quoted."""
    plain = re.fullmatch(r"[A-Za-z_][\w./-]*", value)
    return value if plain else json.dumps(value, ensure_ascii=False)


def indented(block: str, indent: str) -> str:
    """A block's lines moved to the right."""
    return "".join(f"{indent}{line}\n" for line in block.splitlines())


def _listed(text: str, node: yaml.ScalarNode) -> str:
    """A scalar as an item of a list in flow style: as it is written where that can be."""
    raw = text[node.start_mark.index : node.end_mark.index]
    if node.style in ("'", '"') and "\n" not in raw:
        return raw
    return scalar(node.value)


def _add_to_flow(text: str, node: yaml.SequenceNode, written: str, first: bool) -> str:
    if not node.value:
        return _replace(text, node, f"[{written}]")
    if first:
        return _insert(text, node.value[0].start_mark.index, f"{written}, ")
    return _insert(text, node.value[-1].end_mark.index, f", {written}")


def _end_of_block(text: str, node: yaml.Node) -> int:
    """Where the line behind a node's last value begins; a block's own end mark lies further on."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    end = node.end_mark.index
    if text[end - 1 : end] == "\n":
        return end
    newline = text.find("\n", end)
    return len(text) if newline < 0 else newline + 1


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _replace(text: str, node: yaml.Node, new: str) -> str:
    start, end = node.start_mark.index, node.end_mark.index
    kept = text[start:end]
    # A block scalar ends behind its last newline, which has to stay.
    tail = kept[len(kept.rstrip()) :] if kept.endswith("\n") else ""
    return text[:start] + new + tail + text[end:]


def _insert(text: str, index: int, new: str) -> str:
    return text[:index] + new + text[index:]


def _insert_lines(text: str, index: int, lines: str) -> str:
    before = text[:index]
    if before:
        before = _with_last_newline(before)
    return before + lines + text[index:]


def _with_last_newline(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"
