"""Decide which expressions are exact (integers, decimals), so that their sums can be subtracted."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.sql.type_names import FLOATS, INTEGERS_32, INTEGERS_64, type_name

#: Digits of a decimal whose total over 10^11 rows of all keys still fits 38.
_WIDEST = 27


@dataclass(frozen=True)
class ExactType:
    """An exact numeric type.

    Attributes:
        bits: 32 or 64 for integers, 128 for decimals.
        scale: digits behind the point; 0 for integers.
        digits: all digits of a decimal; 0 for integers.
    """

    bits: int
    scale: int = 0
    digits: int = 0

    @property
    def decimal(self) -> bool:
        return self.bits == 128

    @property
    def small(self) -> bool:
        """Whether values are below 2^50 when scaled to integers, so that 2^39 of them sum to less than 2^89."""
        return self.bits == 32 or 0 < self.digits <= 15

    @property
    def total(self) -> str:
        """The type that sum() has."""
        return f"decimal(38, {self.scale})" if self.decimal else "hugeint"


def is_float(node: exp.Expr) -> bool:
    """Whether the annotated type is certainly a float."""
    return type_name(node) in FLOATS


def is_widest(node: exp.Expr) -> bool:
    """Whether only a few values of the annotated type fit into a sum of 38 digits or 128 bits."""
    kind = node.type
    if kind is None or not isinstance(kind.this, exp.DType):
        return False
    digits = int(kind.expressions[0].name) if len(kind.expressions) == 2 else 0
    return kind.this.name in ("INT128", "UINT128") or digits > _WIDEST


def exact_type(node: exp.Expr) -> ExactType | None:
    """The exact type of an annotated expression; None if it is a float or not certainly exact."""
    match node:
        case exp.Paren() | exp.Neg() | exp.Abs():
            return exact_type(node.this)
        case exp.Column():
            return declared_type(node.type)
        case exp.Cast() if type(node) is exp.Cast:
            return declared_type(node.to)
        case exp.Literal():
            return ExactType(32) if node.is_int and abs(int(node.this)) < 2**31 else None
        case exp.Add() | exp.Sub() | exp.Mul():
            return _both(exact_type(node.this), exact_type(node.expression))
        case exp.Case() if node.this is None and node.args.get("default") is None:
            kinds = [exact_type(branch.args["true"]) for branch in node.args["ifs"]]
            return _all(kinds)
        case exp.Case() if node.this is None:
            kinds = [exact_type(branch.args["true"]) for branch in node.args["ifs"]]
            return _all([*kinds, exact_type(node.args["default"])])
        case exp.Coalesce():
            return _all([exact_type(node.this), *map(exact_type, node.expressions)])
    return None


def declared_type(kind: exp.DataType | None) -> ExactType | None:
    """The exact type for a declared type; None if it is not certainly exact."""
    if kind is None:
        return None
    name = kind.this.name if isinstance(kind.this, exp.DType) else str(kind.this)
    if name in INTEGERS_32:
        return ExactType(32)
    if name in INTEGERS_64:
        return ExactType(64)
    if name == "DECIMAL" and len(kind.expressions) == 2:
        if int(kind.expressions[0].name) > _WIDEST:
            return None
        return ExactType(128, int(kind.expressions[1].name), int(kind.expressions[0].name))
    return None


def _both(left: ExactType | None, right: ExactType | None) -> ExactType | None:
    # Engines differ on the scale of decimal products and sums: left to other lowerings.
    if left is None or right is None or left.decimal or right.decimal:
        return None
    return ExactType(max(left.bits, right.bits))


def _all(kinds: list[ExactType | None]) -> ExactType | None:
    known = [k for k in kinds if k is not None]
    if len(known) != len(kinds) or not known:
        return None
    if any(k.decimal for k in known):
        return known[0] if len(set(known)) == 1 else None
    return max(known, key=lambda k: k.bits)
