"""Mirror comparisons: the same comparison with its sides exchanged."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

#: Each comparison and its mirror: ``a < b`` is ``b > a``.
MIRRORED: Mapping[type[exp.Expr], type[exp.Expr]] = {
    exp.GT: exp.LT, exp.GTE: exp.LTE, exp.LT: exp.GT, exp.LTE: exp.GTE,
}  # fmt: skip
