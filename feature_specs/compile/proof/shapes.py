"""Shapes of expressions that the proof tells apart."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.sql.aggregate_calls import function_of
from feature_specs.leaf import Leaf


def times_of(leaf: Leaf) -> set[str]:
    """The columns that determine when a row of the leaf becomes visible."""
    names = {leaf.event_time or leaf.valid_from}
    if leaf.loaded_at is not None and leaf.visibility != "event":
        names.add(leaf.loaded_at)
    return {n for n in names if n is not None}


def claims_a_start(name: str) -> bool:
    """Whether a column of that name holds its row's start, on either axis."""
    return name in ("fb_at", "fb_place") or (
        name.startswith("fb_start") and (name == "fb_start" or name[8:].isdigit())
    )


def ordered_sides(test: exp.Expr) -> tuple[exp.Expr | None, exp.Expr | None]:
    """The smaller and the larger side of a comparison that includes equality."""
    if isinstance(test, exp.LTE):
        return test.this, test.expression
    if isinstance(test, exp.GTE):
        return test.expression, test.this
    return None, None


def without_delay(node: exp.Expr) -> exp.Expr:
    """An expression without a constant subtracted from it: x for x - interval."""
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Sub) and isinstance(node.expression, exp.Literal):
        return without_delay(node.this)
    return node


def axis_of(node: exp.Expr) -> exp.Expr | None:
    """The instant that stands as microseconds: epoch_us, infinite instants at the axis' ends."""
    if isinstance(node, exp.Coalesce) and len(node.expressions) == 1:
        inner, ends = axis_of(node.this), node.expressions[0]
        known = isinstance(ends, exp.Case) and ends.this == inner and not ends.args.get("default")
        return inner if known and all(map(_is_end, ends.args["ifs"])) else None
    if isinstance(node, exp.Anonymous) and node.name.lower() == "epoch_us":
        (instant,) = node.expressions
        return instant if isinstance(instant, exp.Expr) else None
    return None


def _is_end(branch: exp.If) -> bool:
    """An infinite instant, at a place as far as any on its side."""
    end, place = branch.this, branch.args["true"]
    if end == exp.Literal.string("infinity"):
        return isinstance(place, exp.Literal) and place.is_int and int(place.this) >= 2**61
    return bool(end == exp.Literal.string("-infinity"))


def is_forward(step: exp.Expr) -> bool:
    """Whether a node is a literal number or interval that is not negative."""
    if isinstance(step, exp.Interval):
        return isinstance(step.this, exp.Literal) and str(step.this.this).isdigit()
    return isinstance(step, exp.Literal)


def is_marked_place(node: exp.Expr) -> bool:
    """An instant of the spine or an earlier one, or the far past, as a place behind its rows.

    Or one of several such, by a case without another way out.
    """
    if isinstance(node, exp.Case) and not node.args.get("default"):
        return all(is_marked_place(branch.args["true"]) for branch in node.args["ifs"])
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal):
        return True
    if not (isinstance(node, exp.Add) and node.expression == exp.Literal.number(1)):
        return False
    double = node.this
    if not (isinstance(double, exp.Mul) and double.expression == exp.Literal.number(2)):
        return False
    instant = without_delay(double.this)
    return isinstance(instant, exp.Column) and instant.name == "fb_t"


def looks_back(function: exp.Expr) -> bool:
    """Whether a function looks back: not lead(), nor lag() by a negative or computed offset."""
    function = function_of(function)
    if isinstance(function, exp.Lead):
        return False
    offset = function.args.get("offset") if isinstance(function, exp.Lag) else None
    return offset is None or (isinstance(offset, exp.Literal) and offset.is_int)


def unshifted(test: exp.LTE | exp.LT) -> bool:
    """Whether neither side is shifted so that a row would be let in early."""
    instant = test.expression
    while isinstance(instant, (exp.Cast, exp.Paren)):
        instant = instant.this
    early = test.this.find(exp.Sub, exp.Interval, exp.Least, exp.Case, exp.Coalesce)
    return early is None and isinstance(instant, (exp.Column, exp.Parameter, exp.Literal))
