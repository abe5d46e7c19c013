"""``x + 1 > 10`` as DuckDB's optimizer has it: ``x > 9``, which no overflow of the sum fails."""

from __future__ import annotations

from serving.read_time.typed import Typed, as_literal, holds

#: Each comparison with its sides exchanged.
_EXCHANGED = {"eq": "eq", "ne": "ne", "lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}


def move_constants(name: str, a: Typed, b: Typed) -> tuple[str, Typed, Typed | None, bool]:
    """A comparison with what is added to, or multiplied with, one side taken to the other.

    Returns:
        The comparison and its two sides. Without a second side it is decided: where the first is
        not null, it is what the last value says.
    """
    while True:
        if isinstance(a.written, int):
            name, a, b = _EXCHANGED[name], b, a
        moved = _move(name, a, b)
        if moved is None:
            return name, a, b, False
        name, a, right, _ = moved
        if right is None:
            return moved
        b = right


def _move(name: str, a: Typed, b: Typed) -> tuple[str, Typed, Typed | None, bool] | None:
    if a.made_of is None or not isinstance(b.written, int) or not holds(a.type, b.written):
        return None
    operator, left, right = a.made_of
    outer = b.written
    if isinstance(left.written, int) == isinstance(right.written, int):
        return None
    x, inner = (right, left.written) if isinstance(left.written, int) else (left, right.written)
    assert isinstance(inner, int)
    if operator == "mul":
        if inner == 0:
            return None
        if outer % inner:
            return (name, x, None, name == "ne") if name in ("eq", "ne") else None
        name, value = _EXCHANGED[name] if inner < 0 else name, outer // inner
    elif operator == "add":
        value = outer - inner
    elif x is left:
        value = outer + inner
    else:
        name, value = _EXCHANGED[name], inner - outer
    if not holds(a.type, value):
        return (name, x, None, False) if name == "eq" and operator != "mul" else None
    return name, x, as_literal(a.type, value), False
