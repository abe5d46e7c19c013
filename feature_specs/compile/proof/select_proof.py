"""One SELECT under proof: its sources, its outputs and the conditions on its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sqlglot import exp

from feature_specs.compile.proof.relation import Relation, UnboundError
from feature_specs.compile.sql.conjuncts import conjuncts
from feature_specs.compile.sql.relation_names import relation_key
from feature_specs.leaf import Leaf


class Walk(Protocol):
    """The walk over a statement, as a SELECT in it sees it."""

    @property
    def leaves(self) -> Mapping[str, Leaf]: ...

    @property
    def scans(self) -> list[tuple[str, str]]: ...

    def query(self, node: exp.Expr, env: Mapping[str, Relation], name: str) -> Relation: ...


class SelectProof:
    """One SELECT: its sources, its outputs, and what follows for its rows."""

    def __init__(
        self, bounds: Walk, select: exp.Select, env: Mapping[str, Relation], name: str
    ) -> None:
        self.bounds, self.select, self.env, self.name = bounds, select, env, name
        self.sources: dict[str, Relation] = {}
        self.scans: dict[str, Leaf] = {}
        self.laterals: list[exp.Expr] = []
        self.tests = list(conjuncts(select.args.get("where")))
        start = select.args.get("from_")
        parts = [start.this] if start is not None else []
        for join in select.args.get("joins") or []:
            parts.append(join.this)
            self.tests += conjuncts(join.args.get("on"))
        for lateral in select.args.get("laterals") or []:
            parts.append(lateral)
        for part in parts:
            self._source(part)
        self._inner_queries()

    def _source(self, part: exp.Expr) -> None:
        alias = part.alias_or_name
        if isinstance(part, exp.Table):
            inner = part.this
            if not part.db and part.name in self.env:
                self.sources[alias] = self.env[part.name]
            elif isinstance(inner, exp.Identifier) and relation_key(part) in self.bounds.leaves:
                self.scans[alias] = self.bounds.leaves[relation_key(part)]
            else:
                self.sources[alias] = Relation()
            for join in part.args.get("joins") or []:
                self._source(join.this)
                self.tests += conjuncts(join.args.get("on"))
        elif isinstance(part, exp.Lateral):
            self.laterals.append(part)
            self.sources[alias] = self.bounds.query(part.this, self.env, self.name)
        else:
            self.sources[alias] = self.bounds.query(part, self.env, self.name)

    def _inner_queries(self) -> None:
        """Subqueries that stand for values or conditions must be cut by themselves."""
        roots = [*self.select.expressions, *self.tests]
        roots += [self.select.args[k] for k in ("having", "qualify") if self.select.args.get(k)]
        for root in roots:
            for node in root.find_all(exp.Query):
                if isinstance(node, exp.Select):
                    found = self.bounds.query(node, self.env, self.name)
                    if found.status == "held":
                        raise UnboundError(f"a subquery in {self.name} reads rows without a bound")

    def outputs(self) -> dict[str, exp.Expr]:
        out: dict[str, exp.Expr] = {}
        for place, item in enumerate(self.select.expressions):
            star = item if isinstance(item, exp.Star) else item.this if item.is_star else None
            if star is None or isinstance(item, exp.Count):
                named = isinstance(item, (exp.Alias, exp.Column))
                out[item.alias_or_name if named else f"_{place}"] = item.unalias()
                continue
            dropped = {e.name for e in (item.find(exp.Star) or star).args.get("except_") or []}
            only = item.table if isinstance(item, exp.Column) else None
            for alias, relation in self.sources.items():
                if only is None or alias == only:
                    for column in relation.columns:
                        if column not in dropped:
                            out[column] = exp.column(column, table=alias)
            for alias, leaf in self.scans.items():
                if only is None or alias == only:
                    for column in leaf.columns:
                        out[column] = exp.column(column, table=alias)
        return out

    def owner(self, column: exp.Column) -> str | None:
        if column.table:
            return column.table
        owners = [a for a, r in self.sources.items() if column.name in r.columns]
        owners += [a for a, leaf in self.scans.items() if column.name in leaf.columns]
        return owners[0] if len(owners) == 1 else None

    def named(self, node: exp.Expr, alias: str) -> set[str | None]:
        return {c.name for c in node.find_all(exp.Column) if self.owner(c) == alias}

    def own(self, node: exp.Expr) -> bool:
        own = {*self.sources, *self.scans}
        return any(not c.table or c.table in own for c in node.find_all(exp.Column))
