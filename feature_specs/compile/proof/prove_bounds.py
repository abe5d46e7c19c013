"""Follow each leaf row through a finished statement, to where the spine's instant bounds it.

A small abstract interpretation over the *output*: it shares nothing with the passes that wrote it
but the leaves' declarations. Of each relation it knows whether its rows are

- *free*: made of no leaf's rows but static ones, such as the spine, or of bookkeeping only;
- *held*: each row carries, in ``fb_start`` or ``fb_at``, an instant not before any leaf row in it
  became visible;
- *settled*: each row belongs to one row of a spine, by whose ``fb_t`` all its leaf rows were
  visible, or the query it stands in is cut at one instant.

Bookkeeping columns say which rows answer, and hold no value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from feature_specs.compile.proof.conclude import conclude
from feature_specs.compile.proof.gather import sorted_by
from feature_specs.compile.proof.relation import Relation, UnboundError, combined
from feature_specs.compile.proof.select_proof import SelectProof
from feature_specs.leaf import Leaf


@dataclass
class Bounds:
    """The walk over one statement. ``scans`` collects each leaf scan with its bound as SQL."""

    leaves: Mapping[str, Leaf]
    scans: list[tuple[str, str]] = field(default_factory=list)

    def prove(self, tree: exp.Expr, parts: Sequence[tuple[str, exp.Expr]] = ()) -> None:
        """Raises UnboundError unless what the statement returns is bounded by its spine.

        Args:
            parts: names and queries of CTEs that stand before it.
        """
        known: dict[str, Relation] = {}
        for name, part in parts:
            known[name] = self.query(part, known, name)
        result = self.query(tree, known, "the statement")
        if result.status == "held":
            raise UnboundError("rows leave the statement without meeting the spine's instant")

    def query(self, node: exp.Expr, env: Mapping[str, Relation], name: str) -> Relation:
        """What is known of a query's rows, given its CTEs and the names in scope."""
        if isinstance(node, (exp.Subquery, exp.Paren)):
            return self.query(node.this, env, name)
        known = dict(env)
        ctes = node.args.get("with_")
        for cte in ctes.expressions if ctes is not None else []:
            known[cte.alias] = self.query(cte.this, known, cte.alias)
        if isinstance(node, exp.SetOperation):
            left = self.query(node.this, known, name)
            right = self.query(node.expression, known, name)
            return combined(left, right)
        if isinstance(node, exp.Select):
            reading = SelectProof(self, node, known, name)
            return replace(conclude(reading), sorted_by=sorted_by(reading))
        return Relation()
