"""Write operands so that no precedence is left to chance: in parentheses, or as a call."""

from __future__ import annotations

from sqlglot.tokenizer_core import Token, TokenType

from feature_specs.compile.parse.read_values import GROUPED, Item, Part


def wrapped(part: Part) -> list[Item]:
    """An operand, in parentheses of ours where it holds an operator."""
    if part.whole:
        return part.items
    opening = _item(TokenType.L_PAREN, "(", part.items[0].tokens[0])
    closing = _item(TokenType.R_PAREN, ")", part.items[-1].tokens[-1])
    return [Item([t for item in (opening, *part.items, closing) for t in item.tokens])]


def called(name: str, operator: Item, operand: Part) -> Part:
    """A call in place of an operator that SQLGlot does not read in front of every value."""
    sign, last = operator.tokens[0], operand.items[-1].tokens[-1]
    items = [
        Item([Token(TokenType.VAR, name, sign.line, sign.col, sign.start, sign.end)]),
        Item([Token(TokenType.L_PAREN, "(", sign.line, sign.col, sign.end + 1, sign.end)]),
        *wrapped(operand),
        Item([Token(TokenType.R_PAREN, ")", last.line, last.col, last.end + 1, last.end)]),
    ]
    # For DuckDB an operator all the same: as an operand it has parentheses.
    return Part(items, whole=False)


def as_call(listed: Item) -> Item:
    """``[1, null]`` as a call: of the brackets behind IN SQLGlot makes ``(1, null)``."""
    first, *inner, last = listed.tokens
    name = Token(TokenType.VAR, "list_value", first.line, first.col, first.start, first.start - 1)
    opening = Token(TokenType.L_PAREN, "(", first.line, first.col, first.start, first.end)
    closing = Token(TokenType.R_PAREN, ")", last.line, last.col, last.start, last.end)
    return Item([name, opening, *inner, closing])


def _item(kind: TokenType, text: str, beside: Token) -> Item:
    made = Token(kind, text, beside.line, beside.col, beside.start, beside.end, [GROUPED])
    return Item([made])
