"""Follow a statement from its tables up: which columns each relation of each SELECT has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlglot import exp

from feature_specs.names import fold_name

#: Alias of a relation to its columns; None where they are not known.
Sources = Mapping[str, Sequence[str] | None]

#: Table name to its columns and their DuckDB types.
Schema = Mapping[str, Mapping[str, str]]

SPINE, SPINE_SOURCE = "fb_spine", "source"


class Trace:
    """The relations of every SELECT of a statement.

    Args:
        schema: the tables that the statement reads, as far as they are known.
        spine_columns: the columns of the relation that ``fb_spine`` reads.
    """

    def __init__(
        self, tree: exp.Expr, schema: Schema, spine_columns: Sequence[str] | None = None
    ) -> None:
        self._schema = {fold_name(name): list(columns) for name, columns in schema.items()}
        self._spine = list(spine_columns) if spine_columns is not None else None
        self._sources: dict[int, dict[str, Sequence[str] | None]] = {}
        self._query(tree, {})

    def sources(self, select: exp.Expr) -> Sources:
        """What FROM and the joins of a SELECT read, by alias."""
        return self._sources.get(id(select), {})

    def rename(self, select: exp.Expr, old: str, new: str) -> None:
        """An alias has changed."""
        known = self._sources[id(select)]
        self._sources[id(select)] = {new if a == old else a: names for a, names in known.items()}

    def table_of(self, column: exp.Column) -> str | None:
        """The alias that an unqualified column belongs to, by name; None where that is not sure.

        A column may belong to a SELECT further out.
        """
        if column.table:
            return column.table
        select = column.parent_select
        while select is not None:
            sources = self.sources(select)
            found = [
                a for a, names in sources.items() if names is not None and column.name in names
            ]
            if len(found) == 1:
                return found[0]
            if found or any(names is None for names in sources.values()):
                unknown = [a for a, names in sources.items() if names is None]
                return unknown[0] if len(sources) == len(unknown) == 1 else None
            select = select.parent_select
        return None

    def _query(
        self, query: exp.Expr, known: Mapping[str, Sequence[str] | None], name: str = ""
    ) -> list[str] | None:
        if isinstance(query, exp.Subquery):
            known = self._with(query, known)
            return self._query(query.this, known, name)
        known = self._with(query, known)
        if isinstance(query, exp.SetOperation):
            names = self._query(query.this, known)
            self._query(query.expression, known)
            return names
        if isinstance(query, exp.Select):
            return self._select(query, known, name)
        return None

    def _with(
        self, query: exp.Expr, known: Mapping[str, Sequence[str] | None]
    ) -> Mapping[str, Sequence[str] | None]:
        ctes = query.args.get("with_")
        if ctes is None:
            return known
        inside = dict(known)
        for cte in ctes.expressions:
            inside[cte.alias] = self._query(cte.this, inside, cte.alias)
        return inside

    def _select(
        self, select: exp.Select, known: Mapping[str, Sequence[str] | None], name: str
    ) -> list[str] | None:
        sources: dict[str, Sequence[str] | None] = {}
        for node in relations(select):
            sources[node.alias_or_name] = self._relation(node, known, name)
        self._sources[id(select)] = sources
        for key, value in select.args.items():
            if key in ("with_", "from_"):
                continue
            for part in value if isinstance(value, list) else [value]:
                self._nested(part, known)
        return self.names_of(select)

    def _nested(self, part: object, known: Mapping[str, Sequence[str] | None]) -> None:
        """Queries inside expressions, not those inside these again."""
        if not isinstance(part, exp.Expr):
            return
        for node in part.walk(prune=lambda n: isinstance(n, exp.Query)):
            if isinstance(node, exp.Query) and id(node) not in self._sources:
                self._query(node, known)

    def _relation(
        self, node: exp.Expr, known: Mapping[str, Sequence[str] | None], within: str
    ) -> Sequence[str] | None:
        if isinstance(node, exp.Table):
            if within == SPINE and node.alias_or_name == SPINE_SOURCE:
                return self._spine
            if not node.db and node.name in known:
                return known[node.name]
            full = fold_name(".".join(part.name for part in node.parts))
            return self._schema.get(full)
        if isinstance(node, (exp.Subquery, exp.Lateral)):
            if within == SPINE and node.alias == SPINE_SOURCE and self._spine is not None:
                self._query(node.this, known)
                return self._spine
            return self._query(node.this, known)
        return None

    def names_of(self, select: exp.Select) -> list[str] | None:
        """The output columns of a SELECT."""
        names: list[str] = []
        for item in select.expressions:
            if not item.is_star:
                names.append(item.alias_or_name)
                continue
            starred = self.starred(select, item)
            if starred is None:
                return None
            names += [column for _, column in starred]
        return names

    def starred(self, select: exp.Select, item: exp.Expr) -> list[tuple[str, str]] | None:
        """The columns that ``*`` or ``x.*`` stands for, with their relations."""
        star = item.this if isinstance(item, exp.Column) else item
        dropped = {fold_name(e.name) for e in star.args.get("except_") or []}
        sources = self.sources(select)
        table = item.table if isinstance(item, exp.Column) else ""
        chosen = {table: sources.get(table)} if table else sources
        found: list[tuple[str, str]] = []
        for alias, names in chosen.items():
            if names is None:
                return None
            found += [(alias, n) for n in names if fold_name(n) not in dropped]
        return found


def relations(select: exp.Select) -> Iterator[exp.Expr]:
    """What FROM and the joins of a SELECT read."""
    start = select.args.get("from_")
    if start is not None:
        yield start.this
    for join in select.args.get("joins") or []:
        yield join.this
    yield from select.args.get("laterals") or []
