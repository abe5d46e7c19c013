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

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sqlglot import exp

from feature_specs.compile.conjuncts import conjuncts
from feature_specs.compile.parse_query import relation_key
from feature_specs.leaf import Leaf

Status = Literal["free", "held", "settled"]

#: Columns that say which rows answer, and hold no value of a leaf's.
_BOOKKEEPING = re.compile(
    r"fb_(start\d*|end\d*|at|t|ts|row|id|group|part|rank|island|fresh|reached|next|till|from|matched"
    r"|one|instant|members\d*|key|place|mark|read|key_before|place_before|fits"
    r"|unit\d+(_all|_least|_odd|_power)?)"
)

#: A spine whose instant is the same for a whole query: a parameter, or the outer query's row.
CUT = "*"


class UnboundError(Exception):
    """A leaf's rows reach values without a bound in time; the message names the leaf and place."""


@dataclass
class Relation:
    """What is known of a relation's rows.

    Attributes:
        carriers: columns not before any leaf row in the row became visible.
        spine: of a settled relation the spine it belongs to; of a free one with ``fb_row`` and
            ``fb_t`` its own identity.
        anchored: rows with ``fb_row`` stand at that spine row's instant on the carriers' axis.
        in_step: columns in whose order the rows start.
        marker: of a free relation, where its place on an axis and its spine row stand.
        sorted_by: the columns of its ORDER BY.
    """

    columns: tuple[str, ...] = ()
    status: Status = "free"
    carriers: frozenset[str] = frozenset()
    spine: str | None = None
    anchored: str | None = None
    in_step: frozenset[str] = frozenset()
    marker: tuple[int, int, str | None] | None = None
    sorted_by: tuple[str, ...] = ()


@dataclass
class Bounds:
    """The walk over one statement. ``scans`` collects each leaf scan with its bound as SQL."""

    leaves: Mapping[str, Leaf]
    scans: list[tuple[str, str]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

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
        """What is known of a query's rows, its CTEs and the names around it known."""
        if isinstance(node, (exp.Subquery, exp.Paren)):
            return self.query(node.this, env, name)
        known = dict(env)
        ctes = node.args.get("with_")
        for cte in ctes.expressions if ctes is not None else []:
            known[cte.alias] = self.query(cte.this, known, cte.alias)
        if isinstance(node, exp.SetOperation):
            left = self.query(node.this, known, name)
            right = self.query(node.expression, known, name)
            return _combined(left, right)
        if isinstance(node, exp.Select):
            found = _Reading(self, node, known, name).relation()
            order = node.args.get("order")
            keys = order.expressions if order is not None else []
            rising = all(not k.args.get("desc") for k in keys)
            return replace(found, sorted_by=tuple(k.this.name for k in keys) if rising else ())
        return Relation()


def _combined(left: Relation, right: Relation) -> Relation:
    places = {c: i for i, c in enumerate(left.columns)}
    status = _worst(left.status, right.status)
    carriers = left.carriers if left.status == "held" else frozenset(left.columns)
    if right.status == "held":
        theirs = {right.columns.index(c) for c in right.carriers}
        carriers = frozenset(c for c in carriers if places.get(c) in theirs)
    anchors = {_anchor(left, left.columns, carriers), _anchor(right, left.columns, carriers)}
    anchors -= {""}
    anchored = anchors.pop() if len(anchors) == 1 else None
    kept = carriers if status == "held" else frozenset()
    if status == "held" and not kept:
        raise UnboundError("a union mixes rows with and without an instant")
    spine = left.spine if left.spine == right.spine else None
    return Relation(left.columns, status, kept, spine, anchored)


def _anchor(side: Relation, names: tuple[str, ...], carriers: frozenset[str]) -> str | None:
    """The spine whose rows a side of a union puts on the axis; "" where it has rows of leaves only."""
    if side.status == "held":
        return side.anchored or ""
    if side.marker is not None:
        place, mark, spine = side.marker
        return spine if names[place] in carriers and names[mark] == "fb_mark" else None
    if {"fb_t", "fb_row"} <= set(side.columns):
        axis = names[side.columns.index("fb_t")]
        row = names[side.columns.index("fb_row")]
        return side.spine if axis in carriers and row == "fb_row" else None
    return None


def _worst(left: Status, right: Status) -> Status:
    order: tuple[Status, ...] = ("free", "settled", "held")
    return max(left, right, key=order.index)


class _Reading:
    """One SELECT: its sources, its outputs, and what follows for its rows."""

    def __init__(
        self, bounds: Bounds, select: exp.Select, env: Mapping[str, Relation], name: str
    ) -> None:
        self.bounds, self.select, self.env, self.name = bounds, select, env, name
        self.sources: dict[str, Relation] = {}
        self.scans: dict[str, Leaf] = {}
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

    # -- what the outputs say ------------------------------------------------------------------

    def relation(self) -> Relation:
        outputs = self._outputs()
        settled = {a: r.spine for a, r in self.sources.items() if r.status == "settled"}
        needs = [a for a, r in self.sources.items() if r.status == "held"]
        for alias in list(needs):
            spine = self._meets_spine(alias)
            if spine is not None:
                needs.remove(alias)
                settled[alias] = spine
        for alias, leaf in self.scans.items():
            cut = self._cut(alias, leaf, outputs)
            if cut is not None:
                settled[alias] = CUT
                self.bounds.scans.append((leaf.name, cut))
            elif leaf.role != "static" or self._later(alias, leaf, outputs):
                needs.append(alias)
            else:
                self.bounds.scans.append((leaf.name, "static, so its rows are always visible"))
        claims = {n: e for n, e in outputs.items() if _claims(n)}
        columns = tuple(outputs)
        if needs:
            return self._held(needs, claims, outputs)
        if settled:
            return self._settled(settled, claims, columns)
        return self._free(outputs)

    def _free(self, outputs: Mapping[str, exp.Expr]) -> Relation:
        columns = tuple(outputs)
        spine = None
        if {"fb_row", "fb_t"} <= set(columns):
            passed = [r.spine for r in self.sources.values() if "fb_row" in r.columns]
            spine = passed[0] if passed else self.name
        return Relation(columns, "free", frozenset(columns), spine, marker=self._marker(outputs))

    def _marker(self, outputs: Mapping[str, exp.Expr]) -> tuple[int, int, str | None] | None:
        """Places of ``(fb_t - constant) * 2 + 1`` and of a number made of ``fb_row``."""
        place = mark = spine = None
        for number, node in enumerate(outputs.values()):
            columns = {c.name for c in node.find_all(exp.Column)}
            if columns == {"fb_row"} and not isinstance(node, exp.Column):
                mark = number
                owner = self._owner(next(iter(node.find_all(exp.Column))))
                spine = self.sources[owner].spine if owner in self.sources else None
            elif _is_marked_place(node):
                place = number
        return (place, mark, spine) if place is not None and mark is not None else None

    def _held(
        self, needs: list[str], claims: Mapping[str, exp.Expr], outputs: Mapping[str, exp.Expr]
    ) -> Relation:
        columns = tuple(outputs)
        if not claims:
            anchored = self._framed_at_spine(needs, outputs) or self._read_at_marks(needs, outputs)
            if anchored is not None:
                return Relation(columns, "settled", frozenset(), anchored)
            if all(map(_is_bookkeeping, columns)) or self._names_groups(outputs):
                return self._free(outputs)
        good = {
            name for name, e in claims.items() if all(self._respects(e, a, outputs) for a in needs)
        }
        bad = sorted(claims.keys() - good)
        if bad or not good:
            raise UnboundError(self._complaint(needs, bad))
        self._check_gathering(claims, good, outputs)
        for alias in needs:
            if alias in self.scans:
                shown = claims[sorted(good)[0]].sql("duckdb")
                self.bounds.scans.append(
                    (
                        self.scans[alias].name,
                        f"visible from {shown}, read only up to the spine's instant",
                    )
                )
        anchored = next((self.sources[a].anchored for a in needs if a in self.sources), None)
        in_step = self._in_step(claims, outputs)
        return Relation(columns, "held", frozenset(good), None, anchored, in_step)

    def _in_step(
        self, claims: Mapping[str, exp.Expr], outputs: Mapping[str, exp.Expr]
    ) -> frozenset[str]:
        """Outputs of which ``fb_start`` is a rising function."""
        start = claims.get("fb_start")
        while isinstance(start, exp.Add) and isinstance(start.expression, exp.Literal):
            start = start.this
        if start is not None and _is_axis(start):
            inner = start.expressions[0]
            return frozenset(n for n, e in outputs.items() if e == inner)
        if isinstance(start, exp.Column) and len(self.sources) == 1 and not self.scans:
            (source,) = self.sources.values()
            return frozenset(
                n
                for n, e in outputs.items()
                if isinstance(e, exp.Column) and e.name in source.in_step
            )
        return frozenset()

    def _complaint(self, needs: list[str], bad: list[str]) -> str:
        names = ", ".join(self.scans[a].name if a in self.scans else a for a in needs)
        return f"{names} in {self.name}" + (f", whose {bad[0]} may be too early" if bad else "")

    def _settled(
        self,
        settled: Mapping[str, str | None],
        claims: Mapping[str, exp.Expr],
        columns: tuple[str, ...],
    ) -> Relation:
        spines = {s for s in settled.values() if s != CUT}
        if not spines:
            return Relation(columns, "settled", frozenset(), CUT)
        if len(spines) > 1:
            raise UnboundError(f"{self.name} mixes rows of two spines")
        spine = spines.pop()
        if claims:
            for expression in claims.values():
                if not self._is_instant_of(expression, spine):
                    raise UnboundError(f"{self.name} starts rows apart from their instant")
            return Relation(columns, "held", frozenset(claims), None)
        self._check_per_spine_row()
        return Relation(columns, "settled", frozenset(), spine)

    # -- rules ---------------------------------------------------------------------------------

    def _outputs(self) -> dict[str, exp.Expr]:
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

    def _owner(self, column: exp.Column) -> str | None:
        if column.table:
            return column.table
        owners = [a for a, r in self.sources.items() if column.name in r.columns]
        owners += [a for a, leaf in self.scans.items() if column.name in leaf.columns]
        return owners[0] if len(owners) == 1 else None

    def _meets_spine(self, alias: str) -> str | None:
        """A condition holds the rows at or before the instant of a spine row beside them."""
        carriers = self.sources[alias].carriers
        for test in self.tests:
            small, large = _ordered_sides(test)
            if small is None or large is None or not isinstance(small, exp.Column):
                continue
            if self._owner(small) != alias or small.name not in carriers:
                continue
            instant = _without_delay(large)
            if isinstance(instant, exp.Column) and instant.name == "fb_t":
                owner = self._owner(instant)
                if owner is not None and self.sources[owner].spine is not None:
                    return self.sources[owner].spine
        return None

    def _respects(self, node: exp.Expr, alias: str, outputs: Mapping[str, exp.Expr]) -> bool:
        """The expression is not before any instant that bounds the alias."""
        if alias in self.scans:
            leaf = self.scans[alias]
            times = {*_times(leaf), *self._later(alias, leaf, outputs)}
            return all(self._reaches(node, alias, {t}) for t in times)
        return self._reaches(node, alias, self.sources[alias].carriers)

    def _reaches(self, node: exp.Expr, alias: str, columns: set[str] | frozenset[str]) -> bool:
        """``node`` is at least one of the columns, by its form or by a condition."""
        for test in self.tests:
            small, large = _ordered_sides(test)
            if not isinstance(small, exp.Column) or large is None or large != node:
                continue
            if self._owner(small) == alias and small.name in columns:
                return True
        if isinstance(node, exp.Paren):
            return self._reaches(node.this, alias, columns)
        if isinstance(node, exp.Greatest):
            return any(self._reaches(a, alias, columns) for a in [node.this, *node.expressions])
        if isinstance(node, exp.Add) and isinstance(node.expression, exp.Literal):
            return self._reaches(node.this, alias, columns)
        if isinstance(node, exp.Mul) and node.expression == exp.Literal.number(2):
            return self._reaches(node.this, alias, columns)  # a place: the axis, twice as wide
        if isinstance(node, exp.Coalesce):
            # coalesce(x, a far future): what has no instant is never seen.
            last = node.expressions[-1]
            far = isinstance(last, exp.Literal) and last.is_int and int(last.this) >= 2**61
            return far and self._reaches(node.this, alias, columns)
        if isinstance(node, (exp.Min, exp.Max)):
            return self._reaches(node.this, alias, columns)
        if isinstance(node, exp.Column):
            return self._owner(node) == alias and node.name in columns
        if _is_axis(node) or isinstance(node, (exp.Cast, exp.AtTimeZone, exp.Nullif)):
            inner = list(node.find_all(exp.Column))
            early = node.find(exp.Sub, exp.Least, exp.Case, exp.Interval)
            return (
                early is None
                and len({c.name for c in inner}) == 1
                and self._owner(inner[0]) == alias
                and inner[0].name in columns
            )
        return False

    def _later(self, alias: str, leaf: Leaf, outputs: Mapping[str, exp.Expr]) -> set[str]:
        """Times at which columns become known that values or conditions read as they are."""
        later = dict(leaf.known_later)
        if leaf.valid_to is not None:
            later[leaf.valid_to] = leaf.valid_to
        times = {leaf.event_time, leaf.loaded_at, leaf.valid_from, leaf.valid_to}
        times |= set(leaf.known_later.values())
        nodes = [e for n, e in outputs.items() if not _is_bookkeeping(n)]
        nodes += [t for t in self.tests if not self._named(t, alias) <= times]
        read = {c.name for n in nodes for c in n.find_all(exp.Column) if self._owner(c) == alias}
        arrives = leaf.loaded_at if leaf.role == "arrival" else None
        return {later[c] for c in read & later.keys() if later[c] != arrives}

    def _named(self, node: exp.Expr, alias: str) -> set[str | None]:
        return {c.name for c in node.find_all(exp.Column) if self._owner(c) == alias}

    def _cut(self, alias: str, leaf: Leaf, outputs: Mapping[str, exp.Expr]) -> str | None:
        """Each time of the leaf stands alone on the small side of a comparison with the instant."""
        found: dict[str, str] = {}
        for test in self.tests:
            if not isinstance(test, (exp.LTE, exp.LT)):
                continue
            columns = {c.name for c in test.this.find_all(exp.Column)}
            if len(columns) == 1 and _unshifted(test) and not self._own(test.expression):
                found[columns.pop()] = test.sql("duckdb")
        names = _times(leaf)
        if not names <= found.keys() or self._masks(alias, leaf, outputs):
            return None
        return " and ".join(found[n] for n in sorted(names)) if names else None

    def _masks(self, alias: str, leaf: Leaf, outputs: Mapping[str, exp.Expr]) -> bool:
        """A column known later is handed on as it is, without a mask."""
        later = {*leaf.known_later, *([leaf.valid_to] if leaf.valid_to else [])}
        return any(isinstance(e, exp.Column) and e.name in later for e in outputs.values())

    def _own(self, node: exp.Expr) -> bool:
        own = {*self.sources, *self.scans}
        return any(not c.table or c.table in own for c in node.find_all(exp.Column))

    def _check_gathering(
        self, claims: Mapping[str, exp.Expr], good: set[str], outputs: Mapping[str, exp.Expr]
    ) -> None:
        """Aggregates and windows gather no row that starts after what they are said to start at."""
        starts = {claims[n] for n in good} | {exp.column(n) for n in good}
        group = self.select.args.get("group")
        values = {n: e for n, e in outputs.items() if not _is_bookkeeping(n)}
        if group is not None:
            keys = set(group.expressions)
            by_start = bool(keys & starts) or any(
                isinstance(k, exp.Column) and k.name in good for k in keys
            )
            having = self.select.args.get("having")
            plain = all(e in keys or not e.find(exp.AggFunc) for e in values.values())
            plain = plain and (having is None or not having.find(exp.AggFunc))
            if not by_start and not plain:
                raise UnboundError(f"{self.name} gathers rows that start later")
        qualify = self.select.args.get("qualify")
        roots = [*values.values(), *([qualify] if qualify is not None else [])]
        for root in roots:
            for window in root.find_all(exp.Window):
                if not self._window_is_bounded(window, starts, good):
                    raise UnboundError(f"a window in {self.name} sees rows that start later")

    def _window_is_bounded(self, window: exp.Window, starts: set[exp.Expr], good: set[str]) -> bool:
        def is_start(node: exp.Expr) -> bool:
            return (
                node in starts
                or (
                    isinstance(node, exp.Column)
                    and any(
                        node.name in r.carriers for r in self.sources.values() if r.status == "held"
                    )
                )
                or (isinstance(node, exp.Column) and node.name in good)
            )

        base = window
        if window.args.get("alias"):
            named = {w.name: w for w in self.select.args.get("windows") or []}
            base = named.get(window.alias, window)
        if any(is_start(p) for p in base.args.get("partition_by") or []):
            return True
        order = base.args.get("order")
        if order is None:
            return self._follows_input(base)
        first = order.expressions[0]
        if first.args.get("desc") or not (is_start(first.this) or self._is_event_order(first.this)):
            return False
        if isinstance(window.this, exp.Lead):
            return False
        spec = base.args.get("spec")
        if spec is None:
            return True
        end = str(spec.args.get("end") or "CURRENT ROW").upper()
        return end == "CURRENT ROW" or str(spec.args.get("end_side")).upper() == "PRECEDING"

    def _follows_input(self, window: exp.Window) -> bool:
        """A frame up to the current row, over an input sorted by key and start."""
        spec = window.args.get("spec")
        counts = isinstance(window.this, exp.RowNumber)
        if not counts and (spec is None or str(spec.args.get("end")).upper() != "CURRENT ROW"):
            return False
        (source,) = self.sources.values() if len(self.sources) == 1 else (Relation(),)
        return source.sorted_by[-1:] != () and source.sorted_by[-1] in source.carriers

    def _is_event_order(self, node: exp.Expr) -> bool:
        """An order by a column in step with the start."""
        return isinstance(node, exp.Column) and any(
            node.name in r.in_step for r in self.sources.values()
        )

    def _names_groups(self, outputs: Mapping[str, exp.Expr]) -> bool:
        """The keys of groups: what names a group is the same for all its rows."""
        group = self.select.args.get("group")
        keys = [k.name for k in group.expressions] if group is not None else []
        return keys == ["fb_group"] and all(
            n == "fb_group" or isinstance(e, exp.First) for n, e in outputs.items()
        )

    def _framed_at_spine(self, needs: list[str], outputs: Mapping[str, exp.Expr]) -> str | None:
        """Windows over rows and spine together, each ending at the spine row."""
        if len(needs) != 1 or "fb_row" not in outputs or needs[0] not in self.sources:
            return None
        relation = self.sources[needs[0]]
        windows = [w for e in outputs.values() for w in e.find_all(exp.Window)]
        plain = [e for n, e in outputs.items() if n != "fb_row" and not e.find(exp.Window)]
        if relation.anchored is None or not windows:
            return None
        if any(c for e in plain for c in e.find_all(exp.Column)):
            return None
        good = set(relation.carriers)
        ok = all(self._window_is_bounded(w, set(), good) for w in windows)
        return relation.anchored if ok else None

    def _read_at_marks(self, needs: list[str], outputs: Mapping[str, exp.Expr]) -> str | None:
        """Rows of the axis at which a spine row stands, each under that spine row's number."""
        if len(needs) != 1 or needs[0] not in self.sources:
            return None
        row = outputs.get("fb_row")
        if row is None or {c.name for c in row.find_all(exp.Column)} != {"fb_mark"}:
            return None
        if not any(c.name == "fb_mark" for t in self.tests for c in t.find_all(exp.Column)):
            return None
        windows = [w for e in outputs.values() for w in e.find_all(exp.Window)]
        if not all(isinstance(w.this, exp.RowNumber) for w in windows):
            return None  # the marks may be numbered, since they are the spine's own
        return self.sources[needs[0]].anchored

    def _is_instant_of(self, node: exp.Expr, spine: str | None) -> bool:
        if not isinstance(node, exp.Column) or node.name != "fb_t":
            return False
        owner = self._owner(node)
        if owner is None or self.sources[owner].spine != spine:
            return False
        settled = [a for a, r in self.sources.items() if r.status == "settled"]
        tied = {
            self._owner(side)
            for t in self.tests
            if isinstance(t, exp.EQ) and t.this.name == t.expression.name == "fb_row"
            for side in (t.this, t.expression)
            if isinstance(side, exp.Column)
        }
        return {owner, *settled} <= tied

    def _check_per_spine_row(self) -> None:
        """What aggregates or ranks settled rows does so for one spine row at a time."""
        group = self.select.args.get("group")
        if group is not None and not any(k.name == "fb_row" for k in group.expressions):
            raise UnboundError(f"{self.name} gathers rows of several spine rows")
        roots = [*self.select.expressions]
        roots += [self.select.args["qualify"]] if self.select.args.get("qualify") else []
        for window in (w for r in roots for w in r.find_all(exp.Window)):
            if not any(p.name == "fb_row" for p in window.args.get("partition_by") or []):
                raise UnboundError(f"a window in {self.name} runs over several spine rows")


def _is_bookkeeping(name: str) -> bool:
    return _BOOKKEEPING.fullmatch(name) is not None


def _times(leaf: Leaf) -> set[str]:
    names = {leaf.event_time or leaf.valid_from}
    if leaf.loaded_at is not None and leaf.visibility != "event":
        names.add(leaf.loaded_at)
    return {n for n in names if n is not None}


def _claims(name: str) -> bool:
    return name in ("fb_at", "fb_place") or (
        name.startswith("fb_start") and (name == "fb_start" or name[8:].isdigit())
    )


def _ordered_sides(test: exp.Expr) -> tuple[exp.Expr | None, exp.Expr | None]:
    if isinstance(test, exp.LTE):
        return test.this, test.expression
    if isinstance(test, exp.GTE):
        return test.expression, test.this
    return None, None


def _without_delay(node: exp.Expr) -> exp.Expr:
    """An instant, or an earlier one: x - a constant."""
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Sub) and isinstance(node.expression, exp.Literal):
        return _without_delay(node.this)
    return node


def _is_axis(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == "epoch_us"


def _is_marked_place(node: exp.Expr) -> bool:
    """An instant of the spine or an earlier one, or the far past, as a place behind its rows."""
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal):
        return True
    if not (isinstance(node, exp.Add) and node.expression == exp.Literal.number(1)):
        return False
    double = node.this
    if not (isinstance(double, exp.Mul) and double.expression == exp.Literal.number(2)):
        return False
    instant = _without_delay(double.this)
    return isinstance(instant, exp.Column) and instant.name == "fb_t"


def _unshifted(test: exp.LTE | exp.LT) -> bool:
    """Neither side is moved so as to let a row in early."""
    instant = test.expression
    while isinstance(instant, (exp.Cast, exp.Paren)):
        instant = instant.this
    early = test.this.find(exp.Sub, exp.Interval, exp.Least, exp.Case, exp.Coalesce)
    return early is None and isinstance(instant, (exp.Column, exp.Parameter, exp.Literal))
