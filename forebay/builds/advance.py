"""Stepping feature tables through time without dbt: the same materialization, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import duckdb

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import DataError
from feature_specs.instants import from_epoch_us
from feature_specs.library_errors import explain_one, known_errors
from forebay.dbt_project.project import Project
from lakehouse.feature_tables.compute_rows import ComputeRows, RowsHere
from lakehouse.feature_tables.materialize import Advance, advance_view
from lakehouse.lake import find_table, load_table, open_lake, read_state
from lakehouse.plans import instants_of, read_plan
from lakehouse.relations import connect, define_relations, leaf_relations, pin_relations
from lakehouse.same_values import differ
from lakehouse.scan import Pinned, define_relation, pin


@dataclass(frozen=True)
class Step:
    """One view brought to one instant, or why it could not be.

    Attributes:
        advance: what was done; None where it failed.
        differing: rows unlike F; None if not checked.
        error: why it failed, with a hint. The view is then left as it was, and takes no more steps.
    """

    at: datetime
    view: str
    advance: Advance | None = None
    differing: int | None = None
    error: str | None = None


def advance_project(
    project: Project,
    views: Sequence[str],
    until: datetime,
    steps: int,
    *,
    check: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    compute: ComputeRows = RowsHere,
) -> Iterator[Step]:
    """Bring views (all where none is named) to ``until`` in equal steps.

    A view that fails, as one that was never built, is given as such; the others go on.

    Args:
        check: after each step compare the table with F computed in full.
        compute: what computes the rows; DuckDB in this process by default.

    Raises:
        UnknownNameError: there is no such view.
        ForebayError: all that can be stepped stand at ``until`` or later already.
    """
    catalog = project.catalog()
    lake = open_lake(catalog.lake)
    connection = connect(catalog)
    alive = [catalog.view(v) for v in views] or list(catalog.views.values())
    stands: list[datetime] = []
    pinned: dict[str, Pinned] = {}

    def prepare(view: ViewEntry) -> None:
        stands.append(_stands_at(catalog, view))
        wanted = leaf_relations(catalog.leaves[name] for name in view.leaves)
        found = pin_relations(lake, {r: t for r, t in wanted.items() if r not in pinned})
        define_relations(connection, found)
        pinned.update(found)

    for out in () if views else catalog.views_left_out():
        yield Step(until, out.name, error=str(out.problem()))
    yield from _each(alive, until, prepare)
    if not alive:
        return
    since = min(stands)
    if since >= until:
        raise DataError(
            f"the feature tables stand at {since.isoformat()} already",
            where="--until",
            hint="name a later instant",
        )
    for number in range(1, steps + 1):
        at = since + (until - since) * number / steps
        at = at.replace(microsecond=0) if number < steps else until
        step = partial(_step, project, catalog, connection, pinned, at, check, compute)
        yield from _each(alive, at, step)
        if progress is not None:
            progress("advance", number, steps)


def _each(
    alive: list[ViewEntry], at: datetime, work: Callable[[ViewEntry], Step | None]
) -> Iterator[Step]:
    """Do it for each view; one that fails is given as such and taken off the list."""
    for view in tuple(alive):
        try:
            done = work(view)
        except known_errors() as error:
            alive.remove(view)
            done = Step(at, view.name, error=str(explain_one(error)))
        if done is not None:
            yield done


def _step(
    project: Project,
    catalog: Catalog,
    connection: duckdb.DuckDBPyConnection,
    pinned: dict[str, Pinned],
    at: datetime,
    check: bool,
    compute: ComputeRows,
    view: ViewEntry,
) -> Step:
    lake = open_lake(catalog.lake)
    plan = read_plan(project.folder, view.name)
    done = advance_view(
        connection, lake, view, plan, pinned, at, roles=catalog.leaves, clock="--until",
        compute=compute,
    )  # fmt: skip
    if not check:
        return Step(at, view.name, done)
    define_relation(
        connection, "forebay_checked", pin(load_table(lake, view.table)), temporary=True
    )
    connection.execute(
        f"create or replace temp table forebay_truth as {plan.create}",
        instants_of(plan.create, at) or None,
    )
    return Step(at, view.name, done, _count_differing(connection, view))


def _count_differing(connection: duckdb.DuckDBPyConnection, view: ViewEntry) -> int:
    """Entities whose rows in ``forebay_truth`` and ``forebay_checked`` are not the same.

    Exact types exactly; a float that comes of running sums may differ from the engine's own in its
    last digits.
    """
    keys = ", ".join(f'"{key}"' for key in view.keys)
    names = [view.time_column] if view.time_column else []
    tests = ["t.forebay_there is null", "c.forebay_there is null"]
    for name, kind in [*((n, "") for n in names), *((c.name, c.type) for c in view.stored)]:
        true, checked = f't."{name}"', f'c."{name}"'
        tests.append(differ(true, checked, kind))
    ((differing,), (twice,)) = connection.execute(
        f"select count(*) from (select *, true as forebay_there from forebay_truth) as t "
        f"full join (select *, true as forebay_there from forebay_checked) as c using ({keys}) "
        f"where {' or '.join(tests)} "
        f"union all select count(*) - count(distinct ({keys})) from forebay_checked"
    ).fetchall()
    return int(differing + twice)


def _stands_at(catalog: Catalog, view: ViewEntry) -> datetime:
    state = read_state(find_table(open_lake(catalog.lake), view.history_table))
    if state is None:
        raise DataError(
            f"feature view {view.name!r} is not built yet",
            where=view.table,
            hint="run `forebay build`",
        )
    return from_epoch_us(state.at)
