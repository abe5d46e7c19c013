"""Put parentheses around every operand that holds an operator, as DuckDB's own grammar groups them.

SQLGlot's parser gives operators the precedence of a family of dialects, and DuckDB 2.0 has another:
``->`` binds loosest of all, ``~ a + b`` is ``~ (a + b)``, ``a | b & c`` is ``(a | b) & c``. With the
parentheses put in before it parses, nothing is left to SQLGlot's precedence. Each level below is one
rule of DuckDB's grammar (expression.gram), loosest first. What stands around expressions (SELECT,
FROM, frames) is handed on as it is. DuckDB is asked in the end whether the text with the parentheses
is to it what the text without them is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.tokenizer_core import Token, TokenType

#: On parentheses that are not the author's: ``drop_groups`` takes them off the tree again.
GROUPED = "\0grouped"

#: DuckDB's reserved words, and others, that begin no value.
_BOUNDARIES = frozenset(
    [
        "with",
        "where",
        "variadic",
        "unpivot",
        "union",
        "using",
        "trailing",
        "to",
        "then",
        "table",
        "symmetric",
        "summarize",
        "create",
        "as",
        "into",
        "do",
        "initially",
        "for",
        "describe",
        "desc",
        "window",
        "except",
        "offset",
        "in",
        "default",
        "column",
        "collate",
        "returning",
        "constraint",
        "all",
        "placing",
        "analyse",
        "intersect",
        "asc",
        "analyze",
        "check",
        "having",
        "fetch",
        "when",
        "and",
        "only",
        "asymmetric",
        "on",
        "any",
        "both",
        "group",
        "primary",
        "foreign",
        "lateral",
        "unique",
        "leading",
        "distinct",
        "limit",
        "from",
        "or",
        "order",
        "some",
        "pivot",
        "end",
        "qualify",
        "else",
        "not",
        "references",
        "deferrable",
        "select",
        "show",
        "by",
        "between",
        "is",
        "like",
        "ilike",
        "glob",
        "similar",
        "isnull",
        "notnull",
        "join",
        "escape",
        "partition",
        "cluster",
        "preceding",
        "following",
    ]
)
_OPENING = {
    TokenType.L_PAREN: TokenType.R_PAREN,
    TokenType.L_BRACKET: TokenType.R_BRACKET,
    TokenType.L_BRACE: TokenType.R_BRACE,
    TokenType.CASE: TokenType.END,
}
_CLOSING = frozenset(_OPENING.values())
_LITERALS = frozenset({
    TokenType.STRING, TokenType.NUMBER, TokenType.BYTE_STRING, TokenType.HEX_STRING,
    TokenType.BIT_STRING, TokenType.RAW_STRING, TokenType.NATIONAL_STRING, TokenType.HEREDOC_STRING,
    TokenType.UNICODE_STRING, TokenType.PLACEHOLDER,
})  # fmt: skip
_COMPARISONS = frozenset({
    TokenType.EQ, TokenType.NEQ, TokenType.LT, TokenType.LTE, TokenType.GT, TokenType.GTE,
})  # fmt: skip
_MATCHES = frozenset({
    TokenType.LIKE, TokenType.ILIKE, TokenType.GLOB, TokenType.SIMILAR_TO, TokenType.TILDE,
    TokenType.IRLIKE,
})  # fmt: skip
_OTHER = frozenset({
    TokenType.DPIPE, TokenType.DARROW, TokenType.AT_GT, TokenType.LT_AT, TokenType.DAMP,
    TokenType.CARET_AT, TokenType.LR_ARROW, TokenType.NULLSAFE_EQ,
})  # fmt: skip
#: What begins ``.5``, ``$1``, ``@ x`` and ``#1``.
_SIGNED_NAMES = frozenset({TokenType.DOT, TokenType.PARAMETER, TokenType.HASH})
_TERMS = frozenset({TokenType.PLUS, TokenType.DASH})
_FACTORS = frozenset({TokenType.STAR, TokenType.SLASH, TokenType.DIV, TokenType.MOD})
_POWERS = frozenset({TokenType.CARET, TokenType.DSTAR})
_BITS = frozenset({TokenType.AMP, TokenType.PIPE})
_ARITHMETIC = _TERMS | _FACTORS | _POWERS
_UNITS = (
    "year", "month", "day", "hour", "minute", "second", "millisecond", "microsecond", "week",
    "quarter", "decade", "century", "centuries", "millennium", "millennia",
)  # fmt: skip


class UngroupedError(Exception):
    """An operator whose operand is not understood; says where it stands."""

    def __init__(self, token: Token) -> None:
        super().__init__(token.text)
        self.token = token


@dataclass(frozen=True)
class _Item:
    """A token, or a bracket (or CASE) with all that is in it."""

    tokens: list[Token]

    @property
    def kind(self) -> TokenType:
        return self.tokens[0].token_type


@dataclass(frozen=True)
class _Part:
    """The items of one value: ``whole`` where no operator stands outside of brackets."""

    items: list[_Item]
    whole: bool = True


def group_operators(tokens: list[Token]) -> list[Token]:
    """The tokens with parentheses that leave no precedence to chance.

    Raises:
        UngroupedError: an operator without an operand, or with one of an unknown form.
    """
    # Innermost brackets first, on a stack of their own: a query may nest deeper than Python does.
    open_brackets: list[Token] = []
    levels: list[list[_Item]] = [[]]
    for token in _told_behind_signs(tokens):
        kind = token.token_type
        if kind in _OPENING:
            open_brackets.append(token)
            levels.append([])
        elif kind in _CLOSING:
            if not open_brackets or _OPENING[open_brackets[-1].token_type] != kind:
                raise UngroupedError(token)
            inner = _Grouper(levels.pop()).run()
            levels[-1].append(_Item([open_brackets.pop(), *inner, token]))
        else:
            levels[-1].append(_Item([token]))
    if open_brackets:
        raise UngroupedError(open_brackets[-1])
    return _Grouper(levels[0]).run()


def _told_behind_signs(tokens: list[Token]) -> Iterator[Token]:
    """Behind ``@`` SQLGlot takes every word for the name of a variable."""
    before = ""
    for token in tokens:
        known = DuckDB.Tokenizer.KEYWORDS.get(token.text.upper()) if before == "@" else None
        if known is not None and token.token_type == TokenType.VAR:
            token = Token(known, token.text, token.line, token.col, token.start, token.end)
        before = token.text
        yield token


def grouped_text(sql: str, tokens: list[Token]) -> str:
    """The author's text with the parentheses that were put in."""
    pieces: list[str] = []
    done = 0
    for token in tokens:
        if not _is_ours(token):
            pieces.append(sql[done : token.end + 1])
            done = token.end + 1
        elif token.token_type == TokenType.L_PAREN:
            # In front of what follows, behind the blank (or comment) that precedes it.
            pieces.append(sql[done : token.start])
            done = max(done, token.start)
            pieces.append("(")
        else:
            pieces.append(")")
    return "".join((*pieces, sql[done:]))


def drop_groups(query: exp.Expr) -> None:
    """Take the parentheses off the tree again, in place: it says by itself what groups what."""
    for node in list(query.find_all(exp.Paren)):
        if node.comments and GROUPED in node.comments:
            node.replace(node.this)


def _is_ours(token: Token) -> bool:
    return bool(token.comments) and GROUPED in token.comments


class _Grouper:
    """What stands in one bracket, or in none."""

    def __init__(self, items: list[_Item]) -> None:
        self.items, self.place = items, 0
        self._after_quantifier = False

    def run(self) -> list[Token]:
        out: list[_Item] = []
        while self.place < len(self.items):
            part = self._arrow()
            out += [self._take()] if part is None else part.items
        return [token for item in out for token in item.tokens]

    # Levels, loosest first.

    def _arrow(self) -> _Part | None:
        left = self._or()
        while left is not None and self._kind() == TokenType.ARROW:
            # Whole, so that SQLGlot takes it for no lambda.
            joined = self._join(left, [self._take()], self._or())
            left = _Part(_wrapped(joined))
        return left

    def _or(self) -> _Part | None:
        return self._chain(self._and, lambda: self._kind() == TokenType.OR)

    def _and(self) -> _Part | None:
        return self._chain(self._not, lambda: self._kind() == TokenType.AND)

    def _not(self) -> _Part | None:
        if self._kind() != TokenType.NOT or self._text() == "!":
            return self._is()
        if not self._begins_value(1):  # of ``* not like 'x%'``
            return None
        return self._prefix([self._take()], self._not())

    def _is(self) -> _Part | None:
        left = self._distinct()
        test = self._is_test() if left is not None else []
        while left is not None and test:
            left = _Part([*_wrapped(left), *test], whole=False)
            test = self._is_test()
            if not test:
                left = self._is_tail(left)
                test = self._is_test()
        return left

    def _is_tail(self, left: _Part) -> _Part:
        """Operators behind ``x is null`` take that as their left operand."""
        while True:
            found = (
                self._distinct_tail(left)
                or self._comparison_tail(left)
                or self._other_tail(left, every=True)
                or self._cast_tail(left)
            )
            if found is None:
                return left
            left = found

    def _is_test(self) -> list[_Item]:
        kind = self._kind()
        if kind in (TokenType.ISNULL, TokenType.NOTNULL):
            return [self._take()]
        if kind == TokenType.NOT and self._kind(1) == TokenType.NULL:
            return [self._take(), self._take()]
        if kind != TokenType.IS:
            return []
        negated = int(self._kind(1) == TokenType.NOT)
        said = self._text(1 + negated)
        if said not in ("null", "true", "false", "unknown"):
            return []
        test = [self._take() for _ in range(2 + negated)]
        if said == "unknown":
            last = test.pop().tokens[0]
            null = Token(TokenType.NULL, "null", last.line, last.col, last.start, last.end)
            test.append(_Item([null]))
        return test

    def _distinct(self) -> _Part | None:
        return self._with_tails(self._comparison(), self._distinct_tail)

    def _distinct_tail(self, left: _Part) -> _Part | None:
        negated = int(self._kind() == TokenType.IS and self._kind(1) == TokenType.NOT)
        if self._kind() != TokenType.IS or self._kind(1 + negated) != TokenType.DISTINCT:
            return None
        operator = [self._take() for _ in range(3 + negated)]
        return self._join(left, operator, self._comparison())

    def _comparison(self) -> _Part | None:
        return self._with_tails(self._match(), self._comparison_tail)

    def _comparison_tail(self, left: _Part) -> _Part | None:
        if self._kind() not in _COMPARISONS or self._shift():
            return None
        operator = [self._take()]
        right = self._not() if self._kind() == TokenType.NOT else self._match()
        return self._join(left, operator, right)

    def _match(self) -> _Part | None:
        """IN, BETWEEN, LIKE and the like."""
        left = self._other()
        while left is not None:
            negated = int(self._kind() == TokenType.NOT)
            kind = self._kind(negated)
            if kind == TokenType.IN:
                left = self._in(left, [self._take() for _ in range(1 + negated)])
            elif kind == TokenType.BETWEEN:
                longer = self._between(left, 1 + negated)
                if longer is None:
                    break
                left = longer
            elif kind in _MATCHES:
                operator = [self._take() for _ in range(1 + negated)]
                left = self._join(left, operator, self._other())
                if self._kind() == TokenType.ESCAPE:
                    operator = [self._take()]
                    left = _Part(
                        [*left.items, *operator, *_wrapped(self._needed(self._other()))],
                        whole=False,
                    )
            else:
                break
        return left

    def _in(self, left: _Part, operator: list[_Item]) -> _Part:
        kind = self._kind()
        if kind == TokenType.L_PAREN:
            listed = [self._take()]
        else:
            right = self._needed(self._other())
            if not right.whole:
                raise UngroupedError(operator[-1].tokens[0])
            listed = right.items
            if kind == TokenType.L_BRACKET:
                listed = [_as_call(listed[0]), *listed[1:]]
        joined = _Part([*_wrapped(left), *operator, *listed], whole=False)
        return self._with_tails(joined, self._cast_tail) or joined

    def _between(self, left: _Part, width: int) -> _Part | None:
        start = self.place
        operator = [self._take() for _ in range(width)]
        low = self._other()
        if low is None or self._kind() != TokenType.AND:
            self.place = start  # of a frame: ``range between 1 preceding and current row``
            return None
        return self._join(left, [*operator, *_wrapped(low), self._take()], self._other())

    def _other(self) -> _Part | None:
        """Operators that have no level of their own."""
        signs = 0
        while self._kind(signs) in _TERMS:
            signs += 1
        if self._text(signs) == "@" or (signs and self._kind(signs) == TokenType.TILDE):
            sign = self._take()
            operand = self._needed(self._other())
            return _called("abs", sign, operand) if signs == 0 else self._prefix([sign], operand)
        left = self._bits()
        every = False
        while left is not None and (longer := self._other_tail(left, every=every)) is not None:
            left, every = longer, self._after_quantifier
        return left

    def _other_tail(self, left: _Part, *, every: bool = False) -> _Part | None:
        if self._kind() in _COMPARISONS and self._text(1) in ("any", "some", "all"):
            operator = [self._take(), self._take()]
            self._after_quantifier = True
            return _Part([*_wrapped(left), *operator, self._take()], whole=False)
        self._after_quantifier = False
        if self._text() == "operator" and self._kind(1) == TokenType.L_PAREN:
            raise UngroupedError(self.items[self.place].tokens[0])
        # No level of arithmetic takes ``~`` behind it: ``a + b * ~ c`` is ``(a + b) * (~ c)``.
        every = every or self._before_tilde()
        if self._kind() in _OTHER or (every and self._kind() in _ARITHMETIC | _BITS):
            return self._join(left, [self._take()], self._bits())
        if every and self._shift():
            return self._join(left, [self._take(), self._take()], self._bits())
        return None

    def _before_tilde(self) -> bool:
        return self._kind(1) == TokenType.TILDE

    def _bits(self) -> _Part | None:
        left = self._tilde()
        while left is not None:
            if self._shift():
                operator = [self._take(), self._take()]
            elif self._kind() in _BITS:
                operator = [self._take()]
            else:
                break
            left = self._join(left, operator, self._tilde())
        return left

    def _shift(self) -> bool:
        return self._kind() in (TokenType.LT, TokenType.GT) and self._kind(1) == self._kind()

    def _tilde(self) -> _Part | None:
        if self._kind() == TokenType.TILDE:
            return self._prefix([self._take()], self._tilde())
        return self._sum()

    def _sum(self) -> _Part | None:
        return self._arithmetic(self._product, _TERMS)

    def _product(self) -> _Part | None:
        return self._arithmetic(self._power, _FACTORS)

    def _power(self) -> _Part | None:
        return self._arithmetic(self._collated, _POWERS)

    def _arithmetic(
        self, operand: Callable[[], _Part | None], operators: frozenset[TokenType]
    ) -> _Part | None:
        # Not the sign behind ``limit 40%``.
        return self._chain(
            operand,
            lambda: (
                self._kind() in operators and self._begins_value(1) and not self._before_tilde()
            ),
        )

    def _collated(self) -> _Part | None:
        return self._chain(self._zoned, lambda: self._kind() == TokenType.COLLATE)

    def _zoned(self) -> _Part | None:
        left = self._signed()
        while left is not None and [self._text(n) for n in range(3)] == ["at", "time", "zone"]:
            left = self._join(left, [self._take() for _ in range(3)], self._signed())
        return left

    def _signed(self) -> _Part | None:
        if self._kind() in _TERMS:
            if not self._begins_value(1):  # of ``l[:-:-1]``
                return None
            return self._prefix([self._take()], self._signed())
        return self._value()

    # Values: literals, names, calls, brackets, and what stands behind them.

    def _value(self) -> _Part | None:
        if self._text() == "lambda":
            return self._lambda()
        items = self._first()
        if not items and self._text() == "!":
            raise UngroupedError(self.items[self.place].tokens[0])
        while items and (more := self._behind(items)):
            items = items + more
        if items and self._text() == "!" and not self._is_not_match():
            raise UngroupedError(self.items[self.place].tokens[0])
        return _Part(items) if items else None

    def _is_not_match(self) -> bool:
        """``!~`` and its like are one operator, and ``a! ~ b`` is a factorial."""
        if self._kind(1) not in _MATCHES:
            return False
        here, after = (item.tokens[0] for item in self.items[self.place : self.place + 2])
        return bool(after.start == here.end + 1)

    def _first(self) -> list[_Item]:
        kind, text = self._kind(), self._text()
        if kind in _LITERALS:
            items = [self._take()]
            while kind == TokenType.STRING and self._kind() == TokenType.STRING:
                items.append(self._take())  # one text on two lines
            return items
        if kind in _OPENING:
            return [self._take()]
        if kind == TokenType.DOT and self._kind(1) == TokenType.NUMBER:
            return [self._take(), self._take()]
        if text == "$" or kind == TokenType.HASH:
            return [self._take(), self._take()]
        if text == "interval":
            return self._interval()
        union = text == "union" and self._kind(2) == TokenType.STRING  # of a type's literal
        if not union and not self._is_name():
            return []
        items = [self._take()]
        if text == "map" and self._kind() == TokenType.L_BRACE:
            return [*items, self._take()]
        return items + self._typed_literal()

    def _typed_literal(self) -> list[_Item]:
        """Up to the text of ``timestamp(6) with time zone '...'``."""
        width = int(self._kind() == TokenType.L_PAREN)
        if self._text(width) in ("with", "without") and self._text(width + 2) == "zone":
            width += 3
        if self._kind(width) != TokenType.STRING:
            return []
        return [self._take() for _ in range(width + 1)]

    def _behind(self, items: list[_Item]) -> list[_Item]:
        """An index, a field, a cast, or what belongs to a call."""
        kind, text, last = self._kind(), self._text(), items[-1].kind
        if kind == TokenType.L_BRACKET:
            return [self._take()]
        if kind == TokenType.L_PAREN and last not in _LITERALS and last not in _OPENING:
            return [self._take()]
        if kind == TokenType.DOT:
            return [self._take(), self._take()]
        if kind == TokenType.DCOLON:
            return [self._take(), *self._type()]
        if last == TokenType.L_PAREN and text in ("filter", "over"):
            return [self._take(), self._take()]
        if last == TokenType.L_PAREN and text == "within":
            return [self._take(), self._take(), self._take()]
        return []

    def _type(self) -> list[_Item]:
        items = [self._take()]
        while self._kind() == TokenType.DOT:
            items += [self._take(), self._take()]
        if self._text() in ("precision", "varying"):
            items.append(self._take())
        if self._kind() == TokenType.L_PAREN:
            items.append(self._take())
        if self._text() in ("with", "without") and self._text(1) == "time":
            items += [self._take(), self._take(), self._take()]
        while self._kind() == TokenType.L_BRACKET or self._text() == "array":
            items.append(self._take())
        return items

    def _interval(self) -> list[_Item]:
        items = [self._take()]
        if self._kind() in (TokenType.STRING, TokenType.NUMBER, TokenType.L_PAREN):
            items.append(self._take())
            if self._text().removesuffix("s") in _UNITS:
                items.append(self._take())
        return items

    def _lambda(self) -> _Part:
        items = [self._take()]
        while self._kind() not in (None, TokenType.COLON):
            items.append(self._take())
        items.append(self._take())
        return _Part(items + self._needed(self._arrow()).items, whole=False)

    # What the levels share.

    def _chain(
        self, operand: Callable[[], _Part | None], follows: Callable[[], bool]
    ) -> _Part | None:
        left = operand()
        while left is not None and follows():
            left = self._join(left, [self._take()], operand())
        return left

    def _with_tails(
        self, left: _Part | None, tail: Callable[[_Part], _Part | None]
    ) -> _Part | None:
        while left is not None and (longer := tail(left)) is not None:
            left = longer
        return left

    def _cast_tail(self, left: _Part) -> _Part | None:
        if self._kind() != TokenType.DCOLON:
            return None
        return _Part([*_wrapped(left), self._take(), *self._type()])

    def _prefix(self, operator: list[_Item], operand: _Part | None) -> _Part:
        return _Part([*operator, *_wrapped(self._needed(operand))], whole=False)

    def _join(self, left: _Part, operator: list[_Item], right: _Part | None) -> _Part:
        return _Part([*_wrapped(left), *operator, *_wrapped(self._needed(right))], whole=False)

    def _needed(self, part: _Part | None) -> _Part:
        if part is None:
            raise UngroupedError(self.items[min(self.place, len(self.items) - 1)].tokens[0])
        return part

    def _begins_value(self, ahead: int) -> bool:
        signs = (TokenType.PLUS, TokenType.DASH, TokenType.TILDE, TokenType.NOT)
        kind = self._kind(ahead)
        begins = kind in _LITERALS or kind in _OPENING or kind in signs
        return begins or kind in _SIGNED_NAMES or self._is_name(ahead)

    def _is_name(self, ahead: int = 0) -> bool:
        if self._kind(ahead) == TokenType.IDENTIFIER:
            return True
        word = self._text(ahead).split(" ")[0]
        return word not in _BOUNDARIES and (word[:1].isalpha() or word[:1] == "_")

    def _kind(self, ahead: int = 0) -> TokenType | None:
        place = self.place + ahead
        return self.items[place].kind if place < len(self.items) else None

    def _text(self, ahead: int = 0) -> str:
        """The word or operator there; nothing where it is quoted, or is not there."""
        if self._kind(ahead) in (None, TokenType.IDENTIFIER, TokenType.STRING):
            return ""
        return str(self.items[self.place + ahead].tokens[0].text).lower()

    def _take(self) -> _Item:
        if self.place >= len(self.items):
            raise UngroupedError(self.items[-1].tokens[-1])
        self.place += 1
        return self.items[self.place - 1]


def _wrapped(part: _Part) -> list[_Item]:
    if part.whole:
        return part.items
    opening = _item(TokenType.L_PAREN, "(", part.items[0].tokens[0])
    closing = _item(TokenType.R_PAREN, ")", part.items[-1].tokens[-1])
    return [_Item([t for item in (opening, *part.items, closing) for t in item.tokens])]


def _called(name: str, operator: _Item, operand: _Part) -> _Part:
    """A call in place of an operator that SQLGlot does not read in front of every value."""
    sign, last = operator.tokens[0], operand.items[-1].tokens[-1]
    items = [
        _Item([Token(TokenType.VAR, name, sign.line, sign.col, sign.start, sign.end)]),
        _Item([Token(TokenType.L_PAREN, "(", sign.line, sign.col, sign.end + 1, sign.end)]),
        *_wrapped(operand),
        _Item([Token(TokenType.R_PAREN, ")", last.line, last.col, last.end + 1, last.end)]),
    ]
    # For DuckDB an operator all the same: as an operand it has parentheses.
    return _Part(items, whole=False)


def _as_call(listed: _Item) -> _Item:
    """``[1, null]`` as a call: of the brackets behind IN SQLGlot makes ``(1, null)``."""
    first, *inner, last = listed.tokens
    name = Token(TokenType.VAR, "list_value", first.line, first.col, first.start, first.start - 1)
    opening = Token(TokenType.L_PAREN, "(", first.line, first.col, first.start, first.end)
    closing = Token(TokenType.R_PAREN, ")", last.line, last.col, last.start, last.end)
    return _Item([name, opening, *inner, closing])


def _item(kind: TokenType, text: str, beside: Token) -> _Item:
    made = Token(kind, text, beside.line, beside.col, beside.start, beside.end, [GROUPED])
    return _Item([made])
