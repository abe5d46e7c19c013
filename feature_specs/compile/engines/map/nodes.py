"""Small makers of syntax nodes, and a walk from the leaves up that replaces."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from feature_specs.errors import CompileError


def rewrite(tree: exp.Expr, change: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """Replace nodes in place, those below before those above; types are kept."""
    for node in reversed(list(tree.walk())):
        made = change(node)
        if made is node:
            continue
        if made.type is None and not isinstance(made, exp.DataType):
            made.type = node.type
        if node is tree:
            tree = made
        else:
            node.replace(made)
    return tree


def call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """A function of the engine, by the engine's own name."""
    return exp.Anonymous(this=name, expressions=[a.copy() for a in arguments])


def raw(text: str) -> exp.Var:
    """Text in the engine's own dialect."""
    return exp.var(text)


def engine_type(name: str) -> exp.DataType:
    """A type by the engine's own name, which is mapped no further."""
    return exp.DataType(this=exp.DType.USERDEFINED, kind=name)


def number(value: int | float) -> exp.Expr:
    return exp.Literal.number(value)


def to_type(node: exp.Expr, kind: str) -> exp.Expr:
    """A cast to a DuckDB type, which is mapped later like any other."""
    target = exp.DataType.build(kind, dialect="duckdb")
    if isinstance(node, exp.Cast) and node.to == target:
        return node.copy()
    made = exp.Cast(this=node.copy(), to=target)
    made.type = target.copy()
    return made


def to_double(node: exp.Expr) -> exp.Expr:
    return to_type(node, "DOUBLE")


def paren(node: exp.Expr) -> exp.Expr:
    simple = (exp.Column, exp.Literal, exp.Paren, exp.Func, exp.Var, exp.Null)
    if isinstance(node, simple) and not isinstance(node, exp.Binary):
        return node.copy()
    return exp.Paren(this=node.copy())


def is_null(node: exp.Expr) -> exp.Expr:
    return exp.Is(this=paren(node), expression=exp.null())


def not_null(node: exp.Expr) -> exp.Expr:
    return exp.Not(this=is_null(node))


def case(*branches: tuple[exp.Expr, exp.Expr], default: exp.Expr | None = None) -> exp.Case:
    made = exp.Case()
    for test, value in branches:
        made = made.when(test.copy(), value.copy(), copy=False)
    return made.else_(default.copy(), copy=False) if default is not None else made


def refusal(what: str, engine: str, hint: str = "") -> CompileError:
    return CompileError(
        f"{what} is not supported on {engine}",
        where=f"engine {engine}",
        hint=hint or "write it by other functions, or run this view on duckdb",
    )
