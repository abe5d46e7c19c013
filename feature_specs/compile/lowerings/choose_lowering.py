"""Choose, for every aggregate or for the whole view, the cheapest lowering that is valid."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from feature_specs.compile.draft import AggregateCall, Draft, IntervalForm
from feature_specs.compile.lowerings.interval_rows import members
from feature_specs.compile.lowerings.lower_cumulative import lowers_cumulatively
from feature_specs.compile.lowerings.lower_frames import lowers_by_frames
from feature_specs.compile.lowerings.lower_latest import lowers_to_latest, ranks_by_start
from feature_specs.compile.lowerings.rank_rows_of_history import starts_in_order
from feature_specs.compile.normalize.note_visibility import sees
from feature_specs.errors import CompileError, did_you_mean

LOWERINGS = ("latest", "cumulative", "tiles", "frames", "steps", "stab", "decorrelated")
#: Valid for most views, and of plain joins and groups alone: what an engine takes that lacks a
#: function over frames.
LAST_RESORTS = ("stab", "decorrelated")


@dataclass(frozen=True)
class EngineCosts:
    """What is cheap on an engine, as measured there.

    Attributes:
        aggregates: lowerings of aggregates, the cheapest first.
        history: the lowering of a history whose rows last and start in order.
        few_rows: up to this many rows per key, a join of spine and rows is fastest.
        few_rows_of_history: the same of a history.
    """

    aggregates: tuple[str, ...]
    history: str
    few_rows: float
    few_rows_of_history: float = 0


#: DuckDB: benchmarks/trailing_windows.py. Trino sorts rows slowly, and hashes them well:
#: benchmarks/trino_point_in_time.py. Spark was not measured, and has no search in an array.
COSTS = {
    "duckdb": EngineCosts(("cumulative", "frames", "stab"), "latest", few_rows=28),
    "trino": EngineCosts(("tiles", "frames", "stab"), "tiles", few_rows=60, few_rows_of_history=60),
    "spark": EngineCosts(("cumulative", "frames", "stab"), "latest", few_rows=28),
}


@dataclass(frozen=True)
class LoweringChoice:
    """What was chosen and why.

    Attributes:
        lowering: one of LOWERINGS, or two or more joined by " + ".
        found: for each thing ruled out or chosen the aggregate, if it is one's, and a sentence.
        parts: for a grouped form, which aggregates take which lowering.
    """

    lowering: str
    found: tuple[tuple[AggregateCall | None, str], ...]
    parts: dict[str, list[AggregateCall]] = field(default_factory=dict)

    @property
    def reasons(self) -> tuple[str, ...]:
        """A sentence for each lowering ruled out or chosen, written only on demand."""
        return tuple(why if p is None else f"{_as_written(p)}: {why}" for p, why in self.found)


def choose_lowering(
    draft: Draft, forced: str | None = None, engine: str = "duckdb"
) -> LoweringChoice:
    """Choose by validity and an engine's costs, or validate a forced choice.

    Raises:
        CompileError: ``forced`` is unknown, or not valid for this view.
    """
    if forced is not None and forced not in LOWERINGS:
        raise CompileError(
            f"there is no lowering {forced!r}",
            where=draft.file,
            hint=did_you_mean(forced, LOWERINGS),
        )
    silent = draft.form is not None and ranks_by_start(draft.form) and not sees(draft)
    if silent and forced == "decorrelated":
        # The query's own output does not say when a row became visible.
        choice = _choose_for_rows(draft, None, engine)
    elif forced == "decorrelated" or draft.form is None:
        why = "it was asked for" if forced == "decorrelated" else draft.why_no_form
        choice = _chosen("decorrelated", why)
    elif draft.form.grouped:
        choice = choose_parts(draft.form, forced, engine)
    else:
        choice = _choose_for_rows(draft, forced, engine)
    if forced is not None and choice.lowering != forced:
        raise CompileError(
            f"lowering {forced!r} is not valid here: {'; '.join(choice.reasons)}",
            where=draft.file,
            hint=f"leave the choice to the compiler, which takes {choice.lowering}",
        )
    return choice


def _choose_for_rows(draft: Draft, forced: str | None, engine: str) -> LoweringChoice:
    assert draft.form is not None
    if draft.form.event_time is None:
        if draft.form.unique and forced != "stab":
            return _chosen("steps", "each entity has one row at a time")
        why = "it was asked for" if draft.form.unique else "nothing proves one row per entity"
        return _chosen("stab", why)
    why_not = lowers_to_latest(draft.form)
    rows = draft.form.rows_per_key
    if why_not is None and not forced and rows and rows <= COSTS[engine].few_rows_of_history:
        return _chosen("stab", f"a key has about {rows:g} rows")
    if why_not is None and forced != "stab":
        tiled = (forced or COSTS[engine].history) == "tiles"
        if tiled and starts_in_order(draft.form):
            return _chosen("tiles", "every row lasts and the newest one answers")
        return _chosen("latest", "every row lasts and the newest one answers")
    return _chosen("stab", why_not or "it was asked for")


def _chosen(lowering: str, why: str | None) -> LoweringChoice:
    return LoweringChoice(lowering, ((None, f"{lowering}, because {why}"),))


def choose_parts(
    form: IntervalForm, forced: str | None = None, engine: str = "duckdb"
) -> LoweringChoice:
    """Choose a lowering for each aggregate of a grouped form."""
    costs = COSTS[engine]
    few = form.rows_per_key is not None and form.rows_per_key <= costs.few_rows
    order: tuple[str, ...] = (forced,) if forced else ("stab",) if few else costs.aggregates
    parts: dict[str, list[AggregateCall]] = {}
    found: list[tuple[AggregateCall, str]] = []
    for part in (members(form), *form.aggregates):
        refusals: list[str] = []
        for name in order:
            why_not = _why_not(name, part)
            if why_not is None:
                parts.setdefault(name, []).append(part)
                if few and not forced:
                    refusals.append(f"because a key has about {form.rows_per_key:g} rows")
                found.append((part, "; ".join([name, *refusals])))
                break
            refusals.append(f"not {name}, because {why_not}")
        else:
            found.append((part, "; ".join(refusals)))
            return LoweringChoice(" + ".join(costs.aggregates), tuple(found))
    return LoweringChoice(" + ".join(n for n in LOWERINGS if n in parts), tuple(found), parts)


def _why_not(name: str, part: AggregateCall) -> str | None:
    if name in ("cumulative", "tiles"):
        return lowers_cumulatively(part)
    if name == "frames":
        return lowers_by_frames(part)
    return None if name == "stab" else "the view aggregates"


def _as_written(part: AggregateCall) -> str:
    """The aggregate in terms of the author's tables rather than of generated CTEs."""

    def written(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and node.table.startswith("fb_s") and "__" in node.name:
            table, _, name = node.name.rpartition("__")
            return exp.column(name, table=table.rpartition("__")[2])
        return node

    return part.function.transform(written).sql("duckdb", identify=False)
