"""Keep the author's meaning where SQLGlot alone would read or write something else.

Found by running some 30,000 expressions in DuckDB before and after SQLGlot. What can be fixed in the
tree is; what the tree no longer tells apart is refused from the text.
"""

from __future__ import annotations

import re
from typing import NoReturn

from sqlglot import exp, parse_one
from sqlglot.tokenizer_core import Token, TokenType

from feature_specs.compile.parse.author_text import AuthorText
from feature_specs.compile.sql.aggregates import classes
from feature_specs.compile.sql.duckdb_sql import DUCKDB
from feature_specs.errors import CompileError, Location

_UNITS = (
    "microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "quarter",
    "year", "decade", "century", "millennium",
)  # fmt: skip
#: Spellings within an interval's text beside the unit's name and its plural.
_SHORT = {
    "us": "microsecond", "usec": "microsecond", "usecs": "microsecond", "usecond": "microsecond",
    "ms": "millisecond", "msec": "millisecond", "msecs": "millisecond", "msecond": "millisecond",
    "s": "second", "sec": "second", "secs": "second", "m": "minute", "min": "minute",
    "mins": "minute", "h": "hour", "hr": "hour", "hrs": "hour", "d": "day", "w": "week",
    "mon": "month", "mons": "month", "y": "year", "yr": "year", "yrs": "year", "dec": "decade",
    "decs": "decade", "c": "century", "cent": "century", "mil": "millennium", "mils": "millennium",
    "centuries": "century", "millennia": "millennium",
}  # fmt: skip
#: One number and its unit, and something after them that SQLGlot drops.
_UNREAD = re.compile(r"\s*@?\s*[-+]?[\d.]+\s*[a-z]+\s+(?![-+]?[\d.]+\s*[a-z])\S", re.IGNORECASE)
#: DuckDB multiplies an amount as a double.
_EXACT_DIGITS = 15
_TYPES = (
    "date", "timestamp", "timestamptz", "time", "timetz", "datetime", "double", "float", "real",
    "decimal", "numeric", "integer", "int", "bigint", "smallint", "tinyint", "hugeint", "boolean",
    "bool", "uuid", "zone", "char", "character", "varchar", "text", "bpchar",
)  # fmt: skip
_NOT_WRITTEN = {
    "<=>": "write array_cosine_distance(a, b), or `is not distinct from`",
}


#: Aggregates that are the same in whichever order their rows come.
_ORDER_FREE = classes(lambda known: known.order == "none")


def refuse_misread(tokens: list[Token], sql: str, dialect: str, file: str) -> None:
    """Raises CompileError where SQLGlot's tree would not say what the text says."""
    for number, token in enumerate(tokens):
        before = tokens[number - 1] if number else None
        after = tokens[number + 1] if number + 1 < len(tokens) else None
        written = sql[token.start : token.end + 1]
        if written in _NOT_WRITTEN and token.token_type != TokenType.STRING:
            _refuse(f"the operator {written}", _NOT_WRITTEN[written], file, token)
        if before is None:
            continue
        word = before.text.lower()
        if word == "interval" and after is not None and after.text.lower() in _SHORT:
            # DuckDB takes the unit for an alias, and the amount for seconds, or refuses it.
            what = f"interval {written} {after.text}, whose unit is not a whole word"
            _refuse(what, f"write `interval {written} minute`, or another whole unit", file, token)
        if token.token_type != TokenType.STRING:
            continue
        if word == "interval" and _UNREAD.match(token.text):
            what = f"interval {written} says more than an amount"
            hint = "write a number and a unit, as in `interval '7 days'` or `- interval '7 days'`"
            _refuse(what, hint, file, token)
        if word == "json" and dialect == "duckdb":
            _refuse(f"the literal json {written}", f"write {written}::json", file, token)
        if after is not None and after.token_type == TokenType.DCOLON:
            name = _type_before(tokens, number)
            if name is not None:
                what = f"{name} {written}:: casts a literal that has a type already"
                _refuse(what, f"write cast({name} {written} as ...)", file, token)


def keep_meaning(query: exp.Query, text: AuthorText) -> exp.Query:
    """Correct the tree in place.

    Raises:
        CompileError: what was written has no hint.

    >>> show(keep_meaning, "select k, x <> all([1, 2]) as other from events")
    SELECT k, ((x) <> (1) AND (x) <> (2)) AS other FROM events
    """
    file = text.file
    for node in list(query.walk()):
        if isinstance(node, exp.Interval):
            _name_unit(node, file)
        elif isinstance(node, exp.DateAdd) and not isinstance(node.expression, exp.Interval):
            both = (exp.paren(side, copy=False) for side in (node.this, node.expression))
            node.replace(exp.Paren(this=exp.Add(this=next(both), expression=next(both))))
        elif isinstance(node, exp.Reduce):
            given = [node.this, node.args.get("initial"), node.args.get("merge")]
            _call(node, "list_reduce", given)
        elif isinstance(node, (exp.Any, exp.All)):
            _write_out_quantifier(node, node.this, file)
        elif isinstance(node, exp.Anonymous) and node.name.lower() in ("any", "some", "all"):
            _write_out_quantifier(node, node.expressions[0] if node.expressions else None, file)
        elif isinstance(node, exp.StartsWith):  # which SQLGlot would cast to text
            _call(node, "starts_with", [node.this, node.expression])
        elif isinstance(node, exp.Lambda):
            _read_arrow(node)
        elif isinstance(node, exp.DataType) and node.this == exp.DType.FLOAT:
            node.set("expressions", [])
        elif isinstance(node, exp.JarowinklerSimilarity):
            given = [node.this, node.expression, node.args.get("case_insensitive")]
            _call(node, "jaro_winkler_similarity", given)
        elif isinstance(node, _ORDER_FREE) and isinstance(node.this, exp.Order):
            _drop_order(node, node.this, text)
        elif isinstance(node, (exp.LogicalOr, exp.LogicalAnd)):
            while isinstance(node.this, (exp.Distinct, exp.Order)):  # which change nothing here
                inner = node.this
                node.set(
                    "this", inner.expressions[0] if isinstance(inner, exp.Distinct) else inner.this
                )
        else:
            _refuse_lost(node, file)
    return query


def _drop_order(node: exp.Expr, order: exp.Order, text: AuthorText) -> None:
    if any(o.this.name.lower() == "all" or o.find(exp.Star) for o in order.expressions):
        return  # of which DuckDB makes an aggregate for every column
    listed = order.this.expressions if isinstance(order.this, exp.Distinct) else None
    if listed is not None and any(o.this not in listed for o in order.expressions):
        place = node._meta or {}
        raise CompileError(
            "an aggregate of distinct values is ordered by another one than these",
            where=text.at(place.get("line"), place.get("col")),
            hint="leave the order out: the aggregate is the same in whichever",
        )
    node.set("this", order.this)


def _write_out_quantifier(node: exp.Expr, values: exp.Expr | None, file: str) -> None:
    """``x <> all([1, 2])`` as a test of each value; DuckDB makes a subquery of it, as of a query."""
    test = node.parent
    while isinstance(values, exp.Paren):
        values = values.this
    if values is None or isinstance(values, (exp.Query, exp.Subquery)):
        return
    every = isinstance(node, exp.All) or node.name.lower() == "all"
    if not isinstance(test, exp.Binary) or test.expression is not node:
        _refuse("any() or all() on the left", "write it on the right, as in x = any([1, 2])", file)
    if not isinstance(values, exp.Array):
        _compare_with_list(test, values, every, file)
        return
    tests = [
        type(test)(this=exp.paren(test.this.copy()), expression=exp.paren(item.copy()))
        for item in values.expressions
    ]
    made: exp.Expr = exp.Boolean(this=every)
    if tests:
        made = exp.and_(*tests) if every else exp.or_(*tests)
    test.replace(exp.Paren(this=made))


#: Where ``x <operator> v`` holds for a v of the list l, and the operator that holds where it does not.
_OF_SOME: dict[type[exp.Expr], tuple[str, type[exp.Expr]]] = {
    exp.EQ: ("list_contains(l, x)", exp.NEQ),
    exp.NEQ: ("(list_min(l) <> x or list_max(l) <> x)", exp.EQ),
    exp.GT: ("x > list_min(l)", exp.LTE),
    exp.GTE: ("x >= list_min(l)", exp.LT),
    exp.LT: ("x < list_max(l)", exp.GTE),
    exp.LTE: ("x <= list_max(l)", exp.GT),
}


def _compare_with_list(test: exp.Expr, values: exp.Expr, every: bool, file: str) -> None:
    """``x = any(list)``: null where only a null could be the match; an empty list has none."""
    if values.find(exp.Query):
        _refuse("any() or all() of an expression with a subquery", "unnest the list in it", file)
    if type(test) not in _OF_SOME:
        what = f"{test.key} {'all' if every else 'any'}() over a list that is not written out"
        _refuse(what, "filter the list, as in len(list_filter(l, lambda v: x like v)) > 0", file)
    # x > all(l) is not x <= any(l).
    found, _ = _OF_SOME[_OF_SOME[type(test)][1] if every else type(test)]
    answer = parse_one(
        "case when l is null or len(l) = 0 then false when x is null then null "
        f"when {found} then true when list_count(l) < len(l) then null else false end",
        dialect=DUCKDB,
    )
    sides = {"l": values, "x": test.this}
    for column in list(answer.find_all(exp.Column)):
        column.replace(exp.paren(sides[column.name].copy()))
    test.replace(exp.Paren(this=exp.Not(this=exp.Paren(this=answer)) if every else answer))


def _read_arrow(node: exp.Lambda) -> None:
    """``f(j -> 'a')`` reads a key of j: no lambda begins with a text."""
    first = node.this
    while isinstance(first, exp.Binary):
        first = first.this
    if len(node.expressions) != 1 or not (isinstance(first, exp.Literal) and first.is_string):
        return
    column = exp.Column(this=exp.to_identifier(node.expressions[0].name))
    read = exp.JSONExtract(this=column, expression=first.copy(), only_json_types=True)
    body = node.this
    first.replace(read)
    node.replace(read if body is first else body)


def _call(node: exp.Expr, name: str, given: list[exp.Expr | None]) -> None:
    """DuckDB's own function in place of one that SQLGlot knows otherwise."""
    node.replace(exp.Anonymous(this=name, expressions=[g for g in given if g is not None]))


def _refuse_lost(node: exp.Expr, file: str) -> None:
    options = [node.args.get(name) for name in ("modifiers", "parameters", "flag")]
    if isinstance(
        node, (exp.RegexpReplace, exp.RegexpExtract, exp.RegexpExtractAll, exp.RegexpLike)
    ):
        for option in options:
            if option is not None and set("lnp") & set(option.name):
                _refuse(f"the regex option {option.name!r}", "leave out l, n and p", file)
    elif isinstance(node, exp.IgnoreNulls) and isinstance(node.this, exp.Last):
        _refuse("last(... ignore nulls)", "write last_value(... ignore nulls) over (...)", file)
    elif isinstance(node, exp.DateDiff):
        for side in (node.this, node.expression):
            # Of a text that holds a time SQLGlot makes a timestamp, even beside a date.
            if isinstance(side, exp.Literal) and side.is_string and ":" in side.name:
                what = f"date_diff() of the plain text {side.name!r}"
                _refuse(what, "write its type, as in timestamptz '...'", file)
    elif isinstance(node, exp.Pow) and isinstance(node.expression, exp.BitwiseNot):
        _refuse("~ as an exponent", "put it in parentheses", file)
    elif isinstance(node, exp.Placeholder):
        _refuse("a parameter, or a slice without a start", "write the value, or l[1:k]", file)
    elif isinstance(node, exp.DateBin) and isinstance(node.args.get("unit"), exp.Var):
        _refuse(
            "time_bucket() with a zone", "write time_bucket(width, ts at time zone '...')", file
        )


def _name_unit(interval: exp.Interval, file: str) -> None:
    unit = interval.args.get("unit")
    if not isinstance(unit, exp.Var):
        return
    if isinstance(interval.this, exp.Literal) and len(interval.this.name) > _EXACT_DIGITS:
        _refuse(f"an interval of {interval.this.name}", "write a larger unit", file)
    written = unit.name.lower()
    name = _SHORT.get(written, written.removesuffix("s"))
    if name not in _UNITS:
        what = f"an interval in {unit.name!r}, which is not a unit of time"
        _refuse(what, "write days, hours, minutes or seconds", file)
    interval.set("unit", exp.var(name.upper()))


def _type_before(tokens: list[Token], number: int) -> str | None:
    """The type word that stands before a string, with or without its precision."""
    place = number - 1
    if tokens[place].token_type == TokenType.R_PAREN:
        while place and tokens[place].token_type != TokenType.L_PAREN:
            place -= 1
        place -= 1
    word = tokens[place].text.lower() if place >= 0 else ""
    return word if word.split(" ")[-1] in _TYPES else None


def _refuse(what: str, hint: str, file: str, token: Token | None = None) -> NoReturn:
    place = Location(file, token.line, token.col) if token is not None else Location(file)
    raise CompileError(what, where=place, hint=hint)
