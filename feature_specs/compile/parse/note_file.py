"""Let every node remember the file in which it stands."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from feature_specs.compile.parse.author_text import AuthorText


def note_file(query: exp.Query, text: AuthorText) -> exp.Query:
    """Note the file on every node, in place, beside the line and column that SQLGlot notes."""
    for node in query.walk():
        # Asking for node.meta would give every node a dictionary, which every copy would copy.
        if node._meta and "line" in node._meta:
            node._meta = _Place({**node._meta, "file": text.file})
    query.comments = None
    return query


class _Place(dict[str, Any]):
    """Where a node stands in the author's file: copies of the node share it."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Place:
        return self
