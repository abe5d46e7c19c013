"""Split the lives of rows where a comparison with the clock changes its truth.

``ts > now - w`` inside CASE or OR is true up to ts + w and false from then on, so the row lives on
in two pieces, in which the comparison is a constant.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from feature_specs.compile.draft import Window
from feature_specs.compile.intervals.block import Block
from feature_specs.compile.intervals.clip_clock import clip_clock
from feature_specs.compile.intervals.interval_relation import NoFormError, physical, union_all
from feature_specs.compile.sql.clock import has_clock
from feature_specs.compile.sql.conjuncts import conjuncts
from feature_specs.compile.sql.duckdb_sql import DUCKDB, duckdb_sql
from feature_specs.compile.sql.time_axis import null_tests

#: Each comparison triples the pieces.
_MOST_ATOMS = 3


def split_clock(block: Block) -> None:
    """Replace comparisons with the clock, other than plain bounds, by columns that are constant.

    Those over aggregates or window functions wait until these are columns themselves.

    Raises:
        NoFormError: the clock stands elsewhere than in a comparison with an instant, or in too
            many comparisons.
    """
    where = block.tree.args.get("where")
    atoms: dict[exp.Expr, Window] = {}
    for root in [*conjuncts(where), *block.expressions()]:
        for atom in _atoms(root):
            if atom.find(exp.AggFunc, exp.Window):
                continue
            window = clip_clock(atom)
            if window is None:
                raise NoFormError(f"the clock is a quantity in {duckdb_sql(atom)}")
            atoms[atom.copy()] = window
    if not atoms:
        return
    if len(atoms) > _MOST_ATOMS:
        raise NoFormError(f"the query compares the clock {len(atoms)} times outside plain bounds")
    _settle_pieces(block, atoms)


def _atoms(root: exp.Expr) -> Iterator[exp.Expr]:
    """The smallest comparisons with the clock that are not plain bounds of a FILTER."""
    plain: set[int] = set()
    for node in root.find_all(exp.Filter):
        plain |= {id(t) for t in conjuncts(node.expression) if has_clock(t) and clip_clock(t)}
        plain |= _bounds_in_between(node)
    for clock in root.find_all(exp.CurrentTimestamp):
        atom: exp.Expr = clock
        inside_plain = False
        while True:
            inside_plain = inside_plain or id(atom) in plain
            if isinstance(atom, (exp.GT, exp.GTE, exp.LT, exp.LTE)) or atom is root:
                break
            assert atom.parent is not None
            atom = atom.parent
        if not inside_plain:
            yield atom


def _bounds_in_between(node: exp.Filter) -> set[int]:
    return {id(b) for b in node.find_all(exp.Between) if has_clock(b) and _top_level(b, node)}


def _top_level(part: exp.Expr, node: exp.Filter) -> bool:
    parent = part.parent
    while isinstance(parent, (exp.And, exp.Paren, exp.Where)):
        parent = parent.parent
    return parent is node and all(clip_clock(t) is not None for t in conjuncts(part))


def _settle_pieces(block: Block, atoms: dict[exp.Expr, Window]) -> None:
    wanted = block.wanted()
    items = {n: exp.column(c, table=a, quoted=True) for (a, c), n in wanted.items()}
    pieces: list[tuple[exp.Select, Window, dict[str, str]]] = [(block.source, block.window, {})]
    for number, window in enumerate(atoms.values()):
        pieces = [
            (source, life, {**known, f"atom{number}": value})
            for was, lived, known in pieces
            for source, life, value in _cases(was, lived, window)
        ]
    sql = union_all(
        physical(block.ctes.draft, source, window, items, constants=known)
        for source, window, known in pieces
    )
    name = block.ctes.add("split", sql)
    columns = [f"atom{number}" for number in range(len(atoms))]
    replaced = {
        atom: exp.column(column, table="fb_split", quoted=True)
        for atom, column in zip(atoms, columns, strict=True)
    }
    block.tree = block.tree.transform(  # type: ignore[assignment]
        lambda n: replaced[n].copy() if n in replaced else n, copy=False
    )
    block.appended = None
    block.read_from_cte(name, {**wanted, **{("fb_split", c): c for c in columns}})


def _cases(
    source: exp.Select, window: Window, atom: Window
) -> Iterator[tuple[exp.Select, Window, str]]:
    (term,) = (*atom.starts, *atom.ends)
    tests = null_tests([term])
    yield _with(source, tests), window.clip(atom), "true"
    yield _with(source, tests), window.clip(Window(atom.ends, atom.starts)), "false"
    if tests:
        yield (
            _with(source, [f"{duckdb_sql(term.instant)} is null"]),
            window,
            "cast(null as boolean)",
        )


def _with(source: exp.Select, tests: list[str]) -> exp.Select:
    kept = source.copy()
    for test in tests:
        kept = kept.where(test, dialect=DUCKDB, copy=False)
    return kept
