"""The views of lineage.json, each decoded when it is asked for: a question touches a few of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

_View = TypeVar("_View")
_HEAD, _TAIL = '"views":{\n', "\n}}\n"
_decode = json.JSONDecoder().raw_decode


def split_views(text: str) -> tuple[str, dict[str, str]] | None:
    """The JSON of lineage.json without its views, and each view's own; None of another layout.

    >>> split_views('{"format":1,\\n"views":{\\n"a":{"x":1},\\n"b":{}\\n}}\\n')
    ('{"format":1,\\n"views":{}}', {'a': '{"x":1}', 'b': '{}'})
    """
    head, found, rest = text.partition(_HEAD)
    if not found or not rest.endswith(_TAIL):
        return None
    views = {}
    for line in rest.removesuffix(_TAIL).split("\n"):
        try:
            name, end = _decode(line)
        except ValueError:
            return None
        views[name] = line[end + 1 :].removesuffix(",")
    return f'{head}"views":{{}}}}', views


class ViewLines(Mapping[str, _View], Generic[_View]):
    """Views by name.

    Args:
        lines: the JSON of each.
        make: a view of its decoded JSON.
    """

    def __init__(self, lines: Mapping[str, str], make: Callable[[Any], _View]) -> None:
        self._lines, self._make = lines, make
        self._made: dict[str, _View] = {}
        self._naming: dict[str, list[str]] = {}

    def __getitem__(self, name: str) -> _View:
        if name not in self._made:
            self._made[name] = self._make(json.loads(self._lines[name]))
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def naming(self, text: str) -> list[str]:
        """The views in whose lineage a name stands, and perhaps others."""
        if text not in self._naming:
            spelled = json.dumps(text)
            found = [name for name, line in self._lines.items() if spelled in line]
            self._naming[text] = found
        return self._naming[text]


def views_naming(views: Mapping[str, _View], text: str) -> Iterator[tuple[str, _View]]:
    """All views whose lineage has a name in it, and perhaps others, without decoding the rest."""
    names = views.naming(text) if isinstance(views, ViewLines) else views
    yield from ((name, views[name]) for name in names)
