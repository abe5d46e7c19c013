"""Tables for notebooks: escaped HTML, and text where HTML cannot be shown."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from forebay.terminal import table


def text_table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Rows as aligned text columns."""
    return table(rows, header)


def html_table(rows: Sequence[Sequence[object]], header: Sequence[str], caption: str = "") -> str:
    """Rows as an HTML table. Everything is escaped.

    >>> html_table([("<b>", 1)], ("name", "n"))
    '<table><thead><tr><th>name</th><th>n</th></tr></thead><tbody><tr><td>&lt;b&gt;</td><td>1</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{said}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
