"""Split the select list into columns that are stored and expressions evaluated at reading."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from sqlglot import exp

from feature_specs.catalog import Column
from feature_specs.compile.draft import Draft, OutputFeature
from feature_specs.compile.read_time.write_tree import to_tree
from feature_specs.compile.sql.clock import is_clock
from feature_specs.compile.sql.request_values import is_variable, request_of
from feature_specs.compile.sql.select_item import select_item
from feature_specs.errors import CompileError, UnsafeQueryError, did_you_mean


def split_read_time(draft: Draft) -> Draft:
    """Fill ``stored`` (the query less its read-time parts), ``features`` and ``requests``.

    Raises:
        CompileError: an entity or event_time is not in the select list, or a read-time
            expression uses what serving cannot evaluate.
        UnsafeQueryError: request() stands where only stored values may.

    >>> show(
    ...     split_read_time,
    ...     "select k, sum(x) + request('amount', 'double') as total from events group by k",
    ... )
    SELECT "events"."k" AS "k", SUM("events"."x") AS "total__part1" FROM "events" AS
    "events" GROUP BY "events"."k"
    """
    tree = draft.tree.copy()
    assert isinstance(tree, exp.Query)
    _check_outputs(draft, tree)
    if not isinstance(tree, exp.Select):
        _refuse_requests(draft, tree)
        names = tuple(n for n in tree.named_selects if n not in _stored_as_they_are(draft))
        return replace(
            draft, stored=tree, stored_names=names, features=tuple(map(OutputFeature, names))
        )
    splitter = _Splitter(draft, tree)
    for item in list(tree.selects):
        splitter.take(item)
    tree.set("expressions", splitter.items)
    _refuse_requests(draft, tree)
    return replace(
        draft,
        stored=tree,
        stored_names=tuple(
            i.alias for i in splitter.items if i.alias not in _stored_as_they_are(draft)
        ),
        features=tuple(splitter.features),
        requests=tuple(splitter.requests.values()),
    )


class _Splitter:
    def __init__(self, draft: Draft, tree: exp.Select) -> None:
        self.draft = draft
        self.items: list[exp.Expr] = []
        self.features: list[OutputFeature] = []
        self.requests: dict[str, Column] = {}
        # What is stored anyway: a read-time expression reads it by name.
        self.known = {item.unalias(): item.alias for item in tree.selects if not _reads_later(item)}
        self.taken = {*_stored_as_they_are(draft), *tree.named_selects}

    def take(self, item: exp.Expr) -> None:
        name = item.alias
        if name in _stored_as_they_are(self.draft) or not _reads_later(item):
            if _reads_later(item):
                raise CompileError(
                    f"key or event_time {name!r} depends on the clock or on request()",
                    where=self.draft.locate(item),
                    hint="use a column of the data",
                )
            self.items.append(item)
            if name not in _stored_as_they_are(self.draft):
                self.features.append(OutputFeature(name))
            return
        for node in item.walk():
            self._ask(node)
        expression = self._rewrite(name, item.unalias().copy())
        written = {stored: node for node, stored in self.known.items()}
        tree = to_tree(self.draft, expression, written)
        self.features.append(OutputFeature(name, expression, tree))

    def _ask(self, node: exp.Expr) -> None:
        request = request_of(node)
        if request is None:
            return
        known = self.requests.setdefault(request.name, request)
        if known != request:
            raise CompileError(
                f"request {request.name!r} has two types, {known.type} and {request.type}",
                where=self.draft.locate(node),
                hint="ask for it with one type",
            )

    def _rewrite(self, feature: str, node: exp.Expr) -> exp.Expr:
        """Replace every greatest subexpression that is known before reading by a stored column."""
        if request_of(node) is not None or is_clock(node) or not _needs_storing(node):
            return node
        if not _reads_later(node):
            return exp.column(self._store(feature, node))
        for key, value in list(node.args.items()):
            if isinstance(value, exp.Expr):
                node.set(key, self._rewrite(feature, value))
            elif isinstance(value, list):
                node.set(
                    key,
                    [self._rewrite(feature, v) if isinstance(v, exp.Expr) else v for v in value],
                )
        return node

    def _store(self, feature: str, node: exp.Expr) -> str:
        if node not in self.known:
            names = (f"{feature}__part{n}" for n in count(1))
            name = next(n for n in names if n not in self.taken)
            self.taken.add(name)
            self.known[node.copy()] = name
            self.items.append(select_item(node.copy(), name))
        return self.known[node]


def _stored_as_they_are(draft: Draft) -> tuple[str, ...]:
    event_time = (draft.view.event_time,) if draft.view.event_time else ()
    return (*draft.view.entities, *event_time)


def _reads_later(node: exp.Expr) -> bool:
    """The clock or a request stands in the node, outside every aggregate and subquery."""
    return any(is_clock(n) or is_variable(n) for n in _outside_aggregates(node))


def _needs_storing(node: exp.Expr) -> bool:
    return any(isinstance(n, (exp.Column, exp.AggFunc, exp.Query)) for n in node.walk())


def _outside_aggregates(node: exp.Expr) -> Iterator[exp.Expr]:
    return node.walk(
        prune=lambda n: isinstance(n, (exp.AggFunc, exp.Filter, exp.Query, exp.Window))
    )


def _refuse_requests(draft: Draft, tree: exp.Expr) -> None:
    for node in tree.walk():
        if is_variable(node):
            raise UnsafeQueryError(
                "request() stands where the value is computed before anyone asks",
                where=draft.locate(node),
                hint="use it only in the outermost select list, outside aggregates",
            )


def _check_outputs(draft: Draft, tree: exp.Query) -> None:
    names = tree.named_selects
    for name in _stored_as_they_are(draft):
        if name not in names:
            kind = "event_time" if name == draft.view.event_time else "entity"
            raise CompileError(
                f"the query does not select its {kind} column {name!r}",
                where=draft.file,
                hint=f"add it to the select list; {did_you_mean(name, names)}",
            )
    for name in draft.view.tie_break:
        if name not in names:
            raise CompileError(
                f"the query does not select its tie_break column {name!r}",
                where=draft.file,
                hint=f"add it to the select list; {did_you_mean(name, names)}",
            )
    if len(names) == len(_stored_as_they_are(draft)):
        raise CompileError("the query selects no feature", where=draft.file, hint="select one")
