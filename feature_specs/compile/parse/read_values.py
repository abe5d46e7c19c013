"""Read values out of tokens: literals, names, calls and brackets, and what stands behind them.

The rules are those of DuckDB's grammar (expression.gram) below the levels of its operators, which
``group_operators`` reads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from sqlglot.tokenizer_core import Token, TokenType

#: On parentheses that are not the author's: ``drop_groups`` takes them off the tree again.
GROUPED = "\0grouped"
#: DuckDB's reserved words, and others, that begin no value.
_BOUNDARIES = frozenset({
    "with", "where", "variadic", "unpivot", "union", "using", "trailing", "to", "then", "table",
    "symmetric", "summarize", "create", "as", "into", "do", "initially", "for", "describe",
    "desc", "window", "except", "offset", "in", "default", "column", "collate", "returning",
    "constraint", "all", "placing", "analyse", "intersect", "asc", "analyze", "check", "having",
    "fetch", "when", "and", "only", "asymmetric", "on", "any", "both", "group", "primary",
    "foreign", "lateral", "unique", "leading", "distinct", "limit", "from", "or", "order", "some",
    "pivot", "end", "qualify", "else", "not", "references", "deferrable", "select", "show", "by",
    "between", "is", "like", "ilike", "glob", "similar", "isnull", "notnull", "join", "escape",
    "partition", "cluster", "preceding", "following",
})  # fmt: skip
OPENING = {
    TokenType.L_PAREN: TokenType.R_PAREN,
    TokenType.L_BRACKET: TokenType.R_BRACKET,
    TokenType.L_BRACE: TokenType.R_BRACE,
    TokenType.CASE: TokenType.END,
}
CLOSING = frozenset(OPENING.values())
_LITERALS = frozenset({
    TokenType.STRING, TokenType.NUMBER, TokenType.BYTE_STRING, TokenType.HEX_STRING,
    TokenType.BIT_STRING, TokenType.RAW_STRING, TokenType.NATIONAL_STRING, TokenType.HEREDOC_STRING,
    TokenType.UNICODE_STRING, TokenType.PLACEHOLDER,
})  # fmt: skip
#: What begins ``.5``, ``$1``, ``@ x`` and ``#1``.
_SIGNED_NAMES = frozenset({TokenType.DOT, TokenType.PARAMETER, TokenType.HASH})
_UNITS = (
    "year", "month", "day", "hour", "minute", "second", "millisecond", "microsecond", "week",
    "quarter", "decade", "century", "centuries", "millennium", "millennia",
)  # fmt: skip
MATCHES = frozenset({
    TokenType.LIKE, TokenType.ILIKE, TokenType.GLOB, TokenType.SIMILAR_TO, TokenType.TILDE,
    TokenType.IRLIKE,
})  # fmt: skip


class UngroupedError(Exception):
    """An operator whose operand is not understood; says where it stands."""

    def __init__(self, token: Token) -> None:
        super().__init__(token.text)
        self.token = token


@dataclass(frozen=True)
class Item:
    """A token, or a bracket (or CASE) with all that is in it."""

    tokens: list[Token]

    @property
    def kind(self) -> TokenType:
        return self.tokens[0].token_type


@dataclass(frozen=True)
class Part:
    """The items of one value: ``whole`` where no operator stands outside of brackets."""

    items: list[Item]
    whole: bool = True


class ValueReader(ABC):
    """A place in the items of one bracket."""

    def __init__(self, items: list[Item]) -> None:
        self.items, self.place = items, 0

    @abstractmethod
    def expression(self) -> Part | None:
        """A whole expression from here on, or nothing where none begins."""

    def value(self) -> Part | None:
        if self.text_at() == "lambda":
            return self._lambda()
        items = self._first()
        if not items and self.text_at() == "!":
            raise UngroupedError(self.items[self.place].tokens[0])
        while items and (more := self._behind(items)):
            items = items + more
        if items and self.text_at() == "!" and not self._is_not_match():
            raise UngroupedError(self.items[self.place].tokens[0])
        return Part(items) if items else None

    def _is_not_match(self) -> bool:
        """``!~`` and its like are one operator, and ``a! ~ b`` is a factorial."""
        if self.kind_at(1) not in MATCHES:
            return False
        here, after = (item.tokens[0] for item in self.items[self.place : self.place + 2])
        return bool(after.start == here.end + 1)

    def _first(self) -> list[Item]:
        kind, text = self.kind_at(), self.text_at()
        if kind in _LITERALS:
            items = [self.take()]
            while kind == TokenType.STRING and self.kind_at() == TokenType.STRING:
                items.append(self.take())  # one text on two lines
            return items
        if kind in OPENING:
            return [self.take()]
        if kind == TokenType.DOT and self.kind_at(1) == TokenType.NUMBER:
            return [self.take(), self.take()]
        if text == "$" or kind == TokenType.HASH:
            return [self.take(), self.take()]
        if text == "interval":
            return self._interval()
        union = text == "union" and self.kind_at(2) == TokenType.STRING  # of a type's literal
        if not union and not self._is_name():
            return []
        items = [self.take()]
        if text == "map" and self.kind_at() == TokenType.L_BRACE:
            return [*items, self.take()]
        return items + self._typed_literal()

    def _typed_literal(self) -> list[Item]:
        """Up to the text of ``timestamp(6) with time zone '...'``."""
        width = int(self.kind_at() == TokenType.L_PAREN)
        if self.text_at(width) in ("with", "without") and self.text_at(width + 2) == "zone":
            width += 3
        if self.kind_at(width) != TokenType.STRING:
            return []
        return [self.take() for _ in range(width + 1)]

    def _behind(self, items: list[Item]) -> list[Item]:
        """An index, a field, a cast, or what belongs to a call."""
        kind, text, last = self.kind_at(), self.text_at(), items[-1].kind
        if kind == TokenType.L_BRACKET:
            return [self.take()]
        if kind == TokenType.L_PAREN and last not in _LITERALS and last not in OPENING:
            return [self.take()]
        if kind == TokenType.DOT:
            return [self.take(), self.take()]
        if kind == TokenType.DCOLON:
            return [self.take(), *self.type_name()]
        if last == TokenType.L_PAREN and text in ("filter", "over"):
            return [self.take(), self.take()]
        if last == TokenType.L_PAREN and text == "within":
            return [self.take(), self.take(), self.take()]
        return []

    def type_name(self) -> list[Item]:
        items = [self.take()]
        while self.kind_at() == TokenType.DOT:
            items += [self.take(), self.take()]
        if self.text_at() in ("precision", "varying"):
            items.append(self.take())
        if self.kind_at() == TokenType.L_PAREN:
            items.append(self.take())
        if self.text_at() in ("with", "without") and self.text_at(1) == "time":
            items += [self.take(), self.take(), self.take()]
        while self.kind_at() == TokenType.L_BRACKET or self.text_at() == "array":
            items.append(self.take())
        return items

    def _interval(self) -> list[Item]:
        items = [self.take()]
        if self.kind_at() in (TokenType.STRING, TokenType.NUMBER, TokenType.L_PAREN):
            items.append(self.take())
            if self.text_at().removesuffix("s") in _UNITS:
                items.append(self.take())
        return items

    def _lambda(self) -> Part:
        items = [self.take()]
        while self.kind_at() not in (None, TokenType.COLON):
            items.append(self.take())
        items.append(self.take())
        return Part(items + self.needed(self.expression()).items, whole=False)

    def needed(self, part: Part | None) -> Part:
        if part is None:
            raise UngroupedError(self.items[min(self.place, len(self.items) - 1)].tokens[0])
        return part

    def begins_value(self, ahead: int) -> bool:
        signs = (TokenType.PLUS, TokenType.DASH, TokenType.TILDE, TokenType.NOT)
        kind = self.kind_at(ahead)
        begins = kind in _LITERALS or kind in OPENING or kind in signs
        return begins or kind in _SIGNED_NAMES or self._is_name(ahead)

    def _is_name(self, ahead: int = 0) -> bool:
        if self.kind_at(ahead) == TokenType.IDENTIFIER:
            return True
        word = self.text_at(ahead).split(" ")[0]
        return word not in _BOUNDARIES and (word[:1].isalpha() or word[:1] == "_")

    def kind_at(self, ahead: int = 0) -> TokenType | None:
        place = self.place + ahead
        return self.items[place].kind if place < len(self.items) else None

    def text_at(self, ahead: int = 0) -> str:
        """The word or operator there; nothing where it is quoted, or is not there."""
        if self.kind_at(ahead) in (None, TokenType.IDENTIFIER, TokenType.STRING):
            return ""
        return str(self.items[self.place + ahead].tokens[0].text).lower()

    def take(self) -> Item:
        if self.place >= len(self.items):
            raise UngroupedError(self.items[-1].tokens[-1])
        self.place += 1
        return self.items[self.place - 1]
