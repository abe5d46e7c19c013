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

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.tokenizer_core import Token, TokenType

from feature_specs.compile.parse.read_values import (
    CLOSING,
    GROUPED,
    MATCHES,
    OPENING,
    Item,
    Part,
    UngroupedError,
    ValueReader,
)
from feature_specs.compile.parse.write_operands import as_call, called, wrapped

_COMPARISONS = frozenset({
    TokenType.EQ, TokenType.NEQ, TokenType.LT, TokenType.LTE, TokenType.GT, TokenType.GTE,
})  # fmt: skip
_OTHER = frozenset({
    TokenType.DPIPE, TokenType.DARROW, TokenType.AT_GT, TokenType.LT_AT, TokenType.DAMP,
    TokenType.CARET_AT, TokenType.LR_ARROW, TokenType.NULLSAFE_EQ,
})  # fmt: skip
_TERMS = frozenset({TokenType.PLUS, TokenType.DASH})
_FACTORS = frozenset({TokenType.STAR, TokenType.SLASH, TokenType.DIV, TokenType.MOD})
_POWERS = frozenset({TokenType.CARET, TokenType.DSTAR})
_BITS = frozenset({TokenType.AMP, TokenType.PIPE})
_ARITHMETIC = _TERMS | _FACTORS | _POWERS


def group_operators(tokens: list[Token]) -> list[Token]:
    """The tokens with parentheses that leave no precedence to chance.

    Raises:
        UngroupedError: an operator without an operand, or with one of an unknown form.
    """
    # Innermost brackets first, on a stack of their own: a query may nest deeper than Python does.
    open_brackets: list[Token] = []
    levels: list[list[Item]] = [[]]
    for token in _told_behind_signs(tokens):
        kind = token.token_type
        if kind in OPENING:
            open_brackets.append(token)
            levels.append([])
        elif kind in CLOSING:
            if not open_brackets or OPENING[open_brackets[-1].token_type] != kind:
                raise UngroupedError(token)
            inner = _Grouper(levels.pop()).run()
            levels[-1].append(Item([open_brackets.pop(), *inner, token]))
        else:
            levels[-1].append(Item([token]))
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
    for node in list(query.walk()):
        if node.comments and GROUPED in node.comments:
            if isinstance(node, exp.Paren):
                node.replace(node.this)
            else:  # a closing one's mark, which SQLGlot gives to what stands around it
                node.comments = [c for c in node.comments if c != GROUPED]


def _is_ours(token: Token) -> bool:
    return bool(token.comments) and GROUPED in token.comments


class _Grouper(ValueReader):
    """What stands in one bracket, or in none."""

    def __init__(self, items: list[Item]) -> None:
        super().__init__(items)
        self._after_quantifier = False

    def run(self) -> list[Token]:
        out: list[Item] = []
        while self.place < len(self.items):
            part = self.expression()
            out += [self.take()] if part is None else part.items
        return [token for item in out for token in item.tokens]

    def expression(self) -> Part | None:
        left = self._or()
        while left is not None and self.kind_at() == TokenType.ARROW:
            # Whole, so that SQLGlot takes it for no lambda.
            joined = self._join(left, [self.take()], self._or())
            left = Part(wrapped(joined))
        return left

    def _or(self) -> Part | None:
        return self._chain(self._and, lambda: self.kind_at() == TokenType.OR)

    def _and(self) -> Part | None:
        return self._chain(self._not, lambda: self.kind_at() == TokenType.AND)

    def _not(self) -> Part | None:
        if self.kind_at() != TokenType.NOT or self.text_at() == "!":
            return self._is()
        if not self.begins_value(1):  # of ``* not like 'x%'``
            return None
        return self._prefix([self.take()], self._not())

    def _is(self) -> Part | None:
        left = self._distinct()
        test = self._is_test() if left is not None else []
        while left is not None and test:
            left = Part([*wrapped(left), *test], whole=False)
            test = self._is_test()
            if not test:
                left = self._is_tail(left)
                test = self._is_test()
        return left

    def _is_tail(self, left: Part) -> Part:
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

    def _is_test(self) -> list[Item]:
        kind = self.kind_at()
        if kind in (TokenType.ISNULL, TokenType.NOTNULL):
            return [self.take()]
        if kind == TokenType.NOT and self.kind_at(1) == TokenType.NULL:
            return [self.take(), self.take()]
        if kind != TokenType.IS:
            return []
        negated = int(self.kind_at(1) == TokenType.NOT)
        said = self.text_at(1 + negated)
        if said not in ("null", "true", "false", "unknown"):
            return []
        test = [self.take() for _ in range(2 + negated)]
        if said == "unknown":
            last = test.pop().tokens[0]
            null = Token(TokenType.NULL, "null", last.line, last.col, last.start, last.end)
            test.append(Item([null]))
        return test

    def _distinct(self) -> Part | None:
        return self._with_tails(self._comparison(), self._distinct_tail)

    def _distinct_tail(self, left: Part) -> Part | None:
        negated = int(self.kind_at() == TokenType.IS and self.kind_at(1) == TokenType.NOT)
        if self.kind_at() != TokenType.IS or self.kind_at(1 + negated) != TokenType.DISTINCT:
            return None
        operator = [self.take() for _ in range(3 + negated)]
        return self._join(left, operator, self._comparison())

    def _comparison(self) -> Part | None:
        return self._with_tails(self._match(), self._comparison_tail)

    def _comparison_tail(self, left: Part) -> Part | None:
        if self.kind_at() not in _COMPARISONS or self._shift():
            return None
        operator = [self.take()]
        right = self._not() if self.kind_at() == TokenType.NOT else self._match()
        return self._join(left, operator, right)

    def _match(self) -> Part | None:
        """IN, BETWEEN, LIKE and the like."""
        left = self._other()
        while left is not None:
            negated = int(self.kind_at() == TokenType.NOT)
            kind = self.kind_at(negated)
            if kind == TokenType.IN:
                left = self._in(left, [self.take() for _ in range(1 + negated)])
            elif kind == TokenType.BETWEEN:
                longer = self._between(left, 1 + negated)
                if longer is None:
                    break
                left = longer
            elif kind in MATCHES:
                operator = [self.take() for _ in range(1 + negated)]
                left = self._join(left, operator, self._other())
                if self.kind_at() == TokenType.ESCAPE:
                    operator = [self.take()]
                    left = Part(
                        [*left.items, *operator, *wrapped(self.needed(self._other()))],
                        whole=False,
                    )
            else:
                break
        return left

    def _in(self, left: Part, operator: list[Item]) -> Part:
        kind = self.kind_at()
        if kind == TokenType.L_PAREN:
            listed = [self.take()]
        else:
            right = self.needed(self._other())
            if not right.whole:
                raise UngroupedError(operator[-1].tokens[0])
            listed = right.items
            if kind == TokenType.L_BRACKET:
                listed = [as_call(listed[0]), *listed[1:]]
        joined = Part([*wrapped(left), *operator, *listed], whole=False)
        return self._with_tails(joined, self._cast_tail) or joined

    def _between(self, left: Part, width: int) -> Part | None:
        start = self.place
        operator = [self.take() for _ in range(width)]
        low = self._other()
        if low is None or self.kind_at() != TokenType.AND:
            self.place = start  # of a frame: ``range between 1 preceding and current row``
            return None
        return self._join(left, [*operator, *wrapped(low), self.take()], self._other())

    def _other(self) -> Part | None:
        """Operators that have no level of their own."""
        signs = 0
        while self.kind_at(signs) in _TERMS:
            signs += 1
        if self.text_at(signs) == "@" or (signs and self.kind_at(signs) == TokenType.TILDE):
            sign = self.take()
            operand = self.needed(self._other())
            return called("abs", sign, operand) if signs == 0 else self._prefix([sign], operand)
        left = self._bits()
        every = False
        while left is not None and (longer := self._other_tail(left, every=every)) is not None:
            left, every = longer, self._after_quantifier
        return left

    def _other_tail(self, left: Part, *, every: bool = False) -> Part | None:
        if self.kind_at() in _COMPARISONS and self.text_at(1) in ("any", "some", "all"):
            operator = [self.take(), self.take()]
            self._after_quantifier = True
            return Part([*wrapped(left), *operator, self.take()], whole=False)
        self._after_quantifier = False
        if self.text_at() == "operator" and self.kind_at(1) == TokenType.L_PAREN:
            raise UngroupedError(self.items[self.place].tokens[0])
        # No level of arithmetic takes ``~`` behind it: ``a + b * ~ c`` is ``(a + b) * (~ c)``.
        every = every or self._before_tilde()
        if self.kind_at() in _OTHER or (every and self.kind_at() in _ARITHMETIC | _BITS):
            return self._join(left, [self.take()], self._bits())
        if every and self._shift():
            return self._join(left, [self.take(), self.take()], self._bits())
        return None

    def _before_tilde(self) -> bool:
        return self.kind_at(1) == TokenType.TILDE

    def _bits(self) -> Part | None:
        left = self._tilde()
        while left is not None:
            if self._shift():
                operator = [self.take(), self.take()]
            elif self.kind_at() in _BITS:
                operator = [self.take()]
            else:
                break
            left = self._join(left, operator, self._tilde())
        return left

    def _shift(self) -> bool:
        return self.kind_at() in (TokenType.LT, TokenType.GT) and self.kind_at(1) == self.kind_at()

    def _tilde(self) -> Part | None:
        if self.kind_at() == TokenType.TILDE:
            return self._prefix([self.take()], self._tilde())
        return self._sum()

    def _sum(self) -> Part | None:
        return self._arithmetic(self._product, _TERMS)

    def _product(self) -> Part | None:
        return self._arithmetic(self._power, _FACTORS)

    def _power(self) -> Part | None:
        return self._arithmetic(self._collated, _POWERS)

    def _arithmetic(
        self, operand: Callable[[], Part | None], operators: frozenset[TokenType]
    ) -> Part | None:
        # Not the sign behind ``limit 40%``.
        return self._chain(
            operand,
            lambda: (
                self.kind_at() in operators and self.begins_value(1) and not self._before_tilde()
            ),
        )

    def _collated(self) -> Part | None:
        return self._chain(self._zoned, lambda: self.kind_at() == TokenType.COLLATE)

    def _zoned(self) -> Part | None:
        left = self._signed()
        while left is not None and [self.text_at(n) for n in range(3)] == ["at", "time", "zone"]:
            left = self._join(left, [self.take() for _ in range(3)], self._signed())
        return left

    def _signed(self) -> Part | None:
        if self.kind_at() in _TERMS:
            if not self.begins_value(1):  # of ``l[:-:-1]``
                return None
            return self._prefix([self.take()], self._signed())
        return self.value()

    def _chain(
        self, operand: Callable[[], Part | None], follows: Callable[[], bool]
    ) -> Part | None:
        left = operand()
        while left is not None and follows():
            left = self._join(left, [self.take()], operand())
        return left

    def _with_tails(self, left: Part | None, tail: Callable[[Part], Part | None]) -> Part | None:
        while left is not None and (longer := tail(left)) is not None:
            left = longer
        return left

    def _cast_tail(self, left: Part) -> Part | None:
        if self.kind_at() != TokenType.DCOLON:
            return None
        return Part([*wrapped(left), self.take(), *self.type_name()])

    def _prefix(self, operator: list[Item], operand: Part | None) -> Part:
        return Part([*operator, *wrapped(self.needed(operand))], whole=False)

    def _join(self, left: Part, operator: list[Item], right: Part | None) -> Part:
        return Part([*wrapped(left), *operator, *wrapped(self.needed(right))], whole=False)
