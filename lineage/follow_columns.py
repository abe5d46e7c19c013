"""Trace every leaf column through a view's query, as the author wrote it with its models inlined.

What is read is `Draft.tree`: names qualified, one clock, orders total, and nothing of the compiled
variants. It over-approximates: a column that may reach a feature counts as reaching it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.normalize.inline_models import MODEL
from feature_specs.compile.sql.aggregate_calls import has_aggregates
from feature_specs.compile.sql.conjuncts import conjuncts
from feature_specs.compile.sql.relation_names import relation_key
from lineage.effects import NOTHING, Effect, Effects, followed_by, tied, together
from lineage.follow_values import FILTERED, SORTED, TIED, follow_order, follow_value
from lineage.relation import Relation, both, of_leaf
from lineage.view_lineage import ViewLineage

_JOINED = Effect("JOIN")
_GROUPED = Effect("GROUP_BY")
_KEPT = frozenset({Effect("IDENTITY")})
#: Before the name of a model among tables, which have other names than that.
_OF_MODEL = "model:"
_LIMITS = ("limit", "offset", "fetch")


def follow_columns(draft: Draft) -> ViewLineage:
    """Which leaf columns reach each feature of a view, and how.

    Args:
        draft: a compiled view's, or one after all passes of *normalize*.
    """
    models: dict[str, Relation] = {}
    found = _Query(draft, models, {}, {}).read(draft.tree)
    view = draft.view
    kept = (*view.entities, *([view.event_time] if view.event_time else []))
    rows = together(_decide_rows(draft, found))
    columns = {draft.label(n): e for n, e in found.columns.items()}
    return ViewLineage(
        {draft.label(n): _leaves(e) for n, e in found.columns.items() if n not in kept},
        {draft.label(n): _leaves(found.columns[n]) for n in kept},
        _leaves(rows),
        {m: {n: _leaves(e) for n, e in r.columns.items()} for m, r in models.items()},
        {n: through for n, e in columns.items() if (through := _models(e))},
        _models(rows),
    )


def _decide_rows(draft: Draft, found: Relation) -> Iterator[Effects]:
    """What decides the row by which an entity is answered."""
    view = draft.view
    yield found.rows
    for entity in view.entities:
        yield followed_by(found.columns[entity], _JOINED)
    if view.event_time is None:
        return  # where a second row of an entity is an error
    first = {view.event_time, *view.tie_break}
    for name, effects in found.columns.items():
        if name not in view.entities:
            yield followed_by(effects, SORTED if name in first else TIED)
    yield tied(found.copies)


def _leaves(effects: Effects) -> Effects:
    return {c: found for c, found in effects.items() if not c[0].startswith(_OF_MODEL)}


def _models(effects: Effects) -> Effects:
    start = len(_OF_MODEL)
    return {(m[start:], c): f for (m, c), f in effects.items() if m.startswith(_OF_MODEL)}


@dataclass
class _Query:
    """One query: the common table expressions that it may name, and the sources that it reads.

    Attributes:
        models: every model that was met, by its key.
        sources: by alias, those of the queries around it too.
        own: the aliases of its own sources.
        outputs: the items of its select list.
        copies: what decides how often each of its rows is there.
    """

    draft: Draft
    models: dict[str, Relation]
    ctes: dict[str, Relation]
    sources: dict[str, Relation]
    own: list[str] = field(default_factory=list)
    outputs: dict[str, Effects] = field(default_factory=dict)
    copies: Effects = field(default_factory=dict)

    def read(self, node: exp.Expr) -> Relation:
        """What a query, or a source of FROM, comes to."""
        inner = _Query(self.draft, self.models, dict(self.ctes), dict(self.sources))
        ctes = node.args.get("with_")
        for cte in ctes.expressions if ctes is not None else ():
            inner.ctes[cte.alias] = inner.read(cte.this).named(_given_names(cte))
        if isinstance(node, exp.Select):
            return inner.select(node)
        if isinstance(node, exp.SetOperation):
            return inner.set_operation(node)
        if isinstance(node, exp.Table):
            return inner.table(node)
        if isinstance(node, exp.Values):
            return Relation(dict.fromkeys(_given_names(node), NOTHING))
        if isinstance(node, (exp.Subquery, exp.Lateral, exp.Paren)):
            return inner.wrapped(node)
        return inner.anything(node)

    def wrapped(self, node: exp.Expr) -> Relation:
        """A query, or joined sources, in parentheses."""
        if _is_joined(node):
            return self.joined_sources(node)
        found = self.read(node.this)
        if MODEL in node.meta:
            found = self.note_model(node.meta[MODEL], found)
        if isinstance(node, exp.Subquery) and any(node.args.get(k) for k in _LIMITS):
            found = replace(found, rows=together([found.rows, followed_by(found.whole, SORTED)]))
        return found.named(_given_names(node))

    def note_model(self, model: str, found: Relation) -> Relation:
        """Keep what a model's columns are made of; who reads them reads the model's columns too."""
        self.models[model] = found
        columns = {n: {**e, (f"{_OF_MODEL}{model}", n): _KEPT} for n, e in found.columns.items()}
        return replace(found, columns=columns)

    def joined_sources(self, node: exp.Expr) -> Relation:
        """``(a join b on ...)``: of columns with one name, both."""
        rows = self.from_source(node.this)
        for join in node.args.get("joins") or []:
            rows = self.join(join, rows)
        columns: dict[str, Effects] = {}
        for alias in self.own:
            for name, effects in self.sources[alias].columns.items():
                columns[name] = together([columns.get(name, NOTHING), effects])
        return Relation(columns, rows, copies=self.copies)

    def anything(self, node: exp.Expr) -> Relation:
        """A source of another kind: all that it names decides all of it."""
        reached = follow_value(node, self)
        names = _given_names(node) or [node.alias_or_name]
        return Relation(dict.fromkeys(names, reached), followed_by(reached, _JOINED))

    def table(self, node: exp.Table) -> Relation:
        if not isinstance(node.this, exp.Identifier):
            return self.function(node)
        if not node.db and node.name in self.ctes:
            return self.ctes[node.name].named(_given_names(node))
        leaf = self.draft.leaves[relation_key(node)]
        return of_leaf(leaf, self.draft.spelled.get(relation_key(node), {}))

    def function(self, node: exp.Table) -> Relation:
        """Rows that a function takes out of a value beside it."""
        reached = followed_by(follow_value(node.this, self), Effect("TRANSFORMATION"))
        # Whatever column is asked of it.
        return _AnyColumn({}, followed_by(reached, _JOINED), each=reached)

    def set_operation(self, node: exp.SetOperation) -> Relation:
        left, right = self.read(node.this), self.read(node.expression)
        if node.args.get("by_name"):
            names = dict.fromkeys([*left.columns, *right.columns])
            parts = [(left.columns.get(n, NOTHING), right.columns.get(n, NOTHING)) for n in names]
            columns = {n: together(p) for n, p in zip(names, parts, strict=True)}
            found = replace(both(left, right), columns=columns)
        else:
            found = both(left, right)
        if not isinstance(node, exp.Union):
            # The right side gives no value: it takes rows away, or lets them stay.
            away = followed_by(right.whole, FILTERED)
            own = followed_by(together(left.columns.values()), FILTERED)
            found = Relation(left.columns, together([left.rows, left.copies, away, own]))
        elif node.args.get("distinct"):
            whole = followed_by(together(found.columns.values()), _GROUPED)
            found = replace(found, rows=together([found.rows, whole]))
        self.outputs = dict(found.columns)
        return replace(found, rows=together([found.rows, *self._limited(node)]))

    def _limited(self, node: exp.Expr) -> Iterator[Effects]:
        """An order decides which rows a LIMIT keeps."""
        if any(node.args.get(k) for k in _LIMITS):
            order = node.args.get("order")
            yield from follow_order(order, self) if order is not None else ()
            yield from (
                followed_by(follow_value(node.args.get(k), self), FILTERED) for k in _LIMITS
            )

    def select(self, node: exp.Select) -> Relation:
        rows = self.from_sources(node)
        where = node.args.get("where")
        decided = [rows, followed_by(follow_value(where and where.this, self), FILTERED)]
        for item in node.selects:
            self.outputs[item.alias_or_name] = follow_value(item, self)
        decided += [followed_by(e, FILTERED) for e in self._unnested(node)]
        group = node.args.get("group")
        one_row = group is None and has_aggregates(node)
        copies: Effects = NOTHING if node.args.get("distinct") is not None else self.copies
        if group is not None or one_row or _counts_rows(node):
            decided.append(self.copies)
            copies = NOTHING
        if group is not None:
            decided.append(followed_by(self._named_values(group), _GROUPED))
        columns = self.outputs
        if one_row:  # there whatever the rows are, which decide its values instead
            columns = {n: together([e, *decided]) for n, e in columns.items()}
            decided = []
        for clause in ("having", "qualify"):
            test = node.args.get(clause)
            decided.append(followed_by(follow_value(test and test.this, self), FILTERED))
        distinct = node.args.get("distinct")
        if distinct is not None:
            on = distinct.args.get("on")
            whole = self._named_values(on) if on is not None else together(columns.values())
            decided.append(followed_by(whole, _GROUPED))
        decided += self._limited(node)
        unique = list(_unique(node, one_row=one_row))
        return Relation(columns, together(decided), unique, copies)

    def _named_values(self, node: exp.Expr) -> Effects:
        """What reaches the expressions of a clause; a number names an item of the select list."""
        return together(follow_value(part, self) for part in node.iter_expressions())

    def _unnested(self, node: exp.Select) -> Iterator[Effects]:
        """Lists in the select list that are taken apart into rows."""
        for item in node.selects:
            for call in item.find_all(exp.Explode, exp.Unnest):
                yield follow_value(call, self)

    def from_sources(self, node: exp.Select) -> Effects:
        """Make the sources known; what decides the rows that they have together."""
        start = node.args.get("from_")
        rows: Effects = NOTHING
        if start is not None:
            rows = self.from_source(start.this)
        for join in node.args.get("joins") or []:
            rows = self.join(join, rows)
        for lateral in node.args.get("laterals") or []:
            rows = together([rows, self.from_source(lateral)])
        return rows

    def from_source(self, node: exp.Expr) -> Effects:
        """Make a source known under its alias; what decides its rows."""
        if _is_joined(node) and not node.alias_or_name:
            rows = self.from_source(node.this)  # its sources are known by their own
        else:
            relation = self.read(node)
            self.know(node.alias_or_name, relation)
            self.copies = together([self.copies, relation.copies])
            rows = relation.rows
        if not (_is_joined(node) and node.alias_or_name):
            for join in node.args.get("joins") or []:
                rows = self.join(join, rows)
        return rows

    def know(self, alias: str, relation: Relation) -> None:
        self.sources[alias] = relation
        if alias not in self.own:
            self.own.append(alias)

    def join(self, node: exp.Join, before: Effects) -> Effects:
        """Take a join's right side in; what decides the rows then."""
        left = list(self.own)
        right_rows = self.from_source(node.this)
        right = [alias for alias in self.own if alias not in left]
        on = together([follow_value(node.args.get("on"), self), *self._using(node, left, right)])
        meets = together([right_rows, followed_by(on, _JOINED)])
        side, kind = node.side.upper(), node.kind.upper()
        if kind in ("SEMI", "ANTI"):
            return together([before, meets])
        if side in ("LEFT", "FULL"):
            self._reach(right, meets)
        if side in ("RIGHT", "FULL"):
            self._reach(left, together([before, meets]))
        if side == "LEFT":
            if node.method.upper() != "ASOF" and not self._meets_one(node, right):
                self.copies = together([self.copies, meets])
            return before
        return together([before, meets])

    def _using(self, node: exp.Join, left: list[str], right: list[str]) -> Iterator[Effects]:
        for name in node.args.get("using") or ():
            for alias in (*left, *right):
                yield self.sources[alias].columns.get(name.name, NOTHING)

    def _reach(self, aliases: list[str], effects: Effects) -> None:
        for alias in aliases:
            self.sources[alias] = self.sources[alias].with_effects(effects)

    def _meets_one(self, node: exp.Join, right: list[str]) -> bool:
        """A row on the left meets at most one on the right: all of a unique key is compared."""
        if len(right) != 1:
            return False
        matched = set()
        for test in conjuncts(node.args.get("on")):
            sides = [test.left, test.right] if isinstance(test, exp.EQ) else []
            own = [s for s in sides if isinstance(s, exp.Column) and s.table == right[0]]
            rest = [s for s in sides if s not in own]
            if len(own) == 1 and not any(c.table == right[0] for c in rest[0].find_all(exp.Column)):
                matched.add(own[0].name)
        return any(key <= matched for key in self.sources[right[0]].unique)

    def column(self, node: exp.Column) -> Effects:
        """What reaches a column of a source, or an item of the select list that is named."""
        if node.table in self.sources:
            relation = self.sources[node.table]
            if isinstance(relation, _AnyColumn):
                return relation.each
            return relation.columns.get(node.name, relation.whole)
        if not node.table and node.name in self.outputs:
            return self.outputs[node.name]
        return together(self.sources[alias].whole for alias in self.sources)

    def subquery(self, node: exp.Expr, *, exists: bool) -> Effects:
        """What reaches the values of a query in an expression, or whether it has a row."""
        found = self.read(node)
        return found.rows if exists else found.whole


@dataclass(frozen=True)
class _AnyColumn(Relation):
    """A relation whose columns have no names known beforehand."""

    each: Effects = field(default_factory=dict)

    @property
    def whole(self) -> Effects:
        return together([self.rows, self.each])


def _counts_rows(node: exp.Select) -> bool:
    """A value or a place depends on how many rows there are."""
    clauses = [*node.selects, node.args.get("qualify"), node.args.get("order")]
    windows = any(c.find(exp.Window) for c in clauses if c is not None)
    return windows or any(node.args.get(k) for k in _LIMITS)


def _is_joined(node: exp.Expr) -> bool:
    """Sources in parentheses, as in ``(a join b on ...)``, rather than a query."""
    if not isinstance(node, (exp.Subquery, exp.Paren)):
        return False
    inner = node.this
    return bool(not isinstance(inner, (exp.Query, exp.Values)) or inner.args.get("alias"))


def _given_names(node: exp.Expr) -> list[str]:
    alias = node.args.get("alias")
    return [c.name for c in alias.columns] if isinstance(alias, exp.TableAlias) else []


def _unique(node: exp.Select, *, one_row: bool) -> Iterator[frozenset[str]]:
    """Keys of a SELECT's rows: what it is grouped by, or what ranks are counted within."""
    if one_row:
        yield frozenset()
    items: dict[exp.Expr, str] = {item.unalias(): item.alias_or_name for item in node.selects}
    group = node.args.get("group")
    if group is not None and not any(v for k, v in group.args.items() if k != "expressions" and v):
        yield from _all_named(group.expressions, items)
    if node.args.get("distinct") is not None and node.args["distinct"].args.get("on") is None:
        yield frozenset(items.values())
    qualify = node.args.get("qualify")
    for test in conjuncts(qualify.this) if qualify is not None else ():
        if isinstance(test, exp.EQ) and test.right == exp.Literal.number(1):
            rank = test.left
            if isinstance(rank, exp.Window) and isinstance(rank.this, exp.RowNumber):
                yield from _all_named(rank.args.get("partition_by") or [], items)


def _all_named(keys: list[exp.Expr], items: Mapping[exp.Expr, str]) -> Iterator[frozenset[str]]:
    if all(key in items for key in keys):
        yield frozenset(items[key] for key in keys)
