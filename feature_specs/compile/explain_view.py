"""What an author reads to trust a view: roles, shape, lowering and why, the proof, and the SQL."""

from __future__ import annotations

import re

from sqlglot import exp

from feature_specs.compile.draft import AggregateCall, Draft, IntervalForm
from feature_specs.compile.lowerings.choose_lowering import LoweringChoice
from feature_specs.compile.lowerings.interval_rows import MEMBERS
from feature_specs.compile.normalize.note_visibility import is_event_of_one, sees
from feature_specs.compile.proof.certify_bounds import Certificate
from feature_specs.compile.variants.maintain_state import Incremental
from feature_specs.compile.variants.read_deltas import why_no_deltas
from feature_specs.leaf import Leaf

#: What the steps of an interval form are called in its CTEs' names.
_STEPS = {
    "changes": "changes of a key", "versions": "latest change of each key", "pairs": "matches",
    "joined": "outer join", "nearest": "nearest match", "semi": "rows with a match",
    "anti": "rows without a match", "split": "rows split where the clock decides",
    "groups": "nested groups", "latest": "latest rows", "ranked": "window functions",
    "distinct": "distinct values", "union": "union", "overlap": "set operation",
    "correlated": "subquery per row",
}  # fmt: skip


def explain_view(
    draft: Draft, choice: LoweringChoice, certificate: Certificate, state: Incremental
) -> str:
    """The explanation as text."""
    view = draft.view
    kind = "history" if view.event_time else "as-of"
    lines = [f"view {view.name} ({kind} view), entities: {', '.join(view.entities)}"]
    lines += ["leaves:"] + [f"  {leaf.name}: {_role(leaf)}" for leaf in draft.leaves.values()]
    lines += ["shape:", f"  {_shape(draft)}"]
    lines += [f"ties of {view.event_time}: {_ties(draft)}"] if view.event_time else []
    lines += [f"lowering: {choice.lowering}"]
    calls = (call for call, _ in choice.found)
    lines += [
        f"  {_for_whom(draft, call)}{reason}"
        for call, reason in zip(calls, choice.reasons, strict=True)
    ]
    how = "the entities that changed" if state.by_key else "every entity"
    lines += [f"incremental: a step recomputes {how}, since {state.why}"]
    why = why_no_deltas(draft)
    steps = "adds deltas to the sums it keeps" if why is None else f"adds no deltas, since {why}"
    lines += [f"  its feature table {steps}"]
    lines += ["certificate:", *(f"  {line}" for line in certificate.lines())]
    return "\n".join(lines)


def _for_whom(draft: Draft, call: AggregateCall | None) -> str:
    """Which features an aggregate is part of; every group needs the count of its rows."""
    if call is None or draft.form is None:
        return ""
    if call.name == MEMBERS:
        return "rows of the group: "
    columns = {
        name
        for name, node in draft.form.columns.items()
        if any(c.name == call.name for c in node.find_all(exp.Column))
    }
    names = [
        draft.label(f.name)
        for f in draft.features
        if f.name in columns
        or (
            f.expression is not None
            and columns & {c.name for c in f.expression.find_all(exp.Column)}
        )
    ]
    return f"{', '.join(names)}: " if names else "having: "


def _role(leaf: Leaf) -> str:
    return f"{leaf.role}, rewritten in place" if leaf.written == "mutable" else str(leaf.role)


def _shape(draft: Draft) -> str:
    form = draft.form
    if form is None:
        return f"no interval form: {draft.why_no_form}"
    what = "groups of rows" if form.grouped else "rows"
    one = (
        "one row per entity, proved"
        if form.unique
        else "one row per entity, checked when it is read"
    )
    if draft.view.event_time is not None:
        one = "the greatest row an entity answers"
    return f"{what} with lifetimes{_by(form)}; {one}"


def _ties(draft: Draft) -> str:
    """By what the row is chosen that answers, of several at one event_time."""
    last = "the one that became visible last"
    if not sees(draft) and not is_event_of_one(draft):
        last = "not by when they became visible, since a row here stands for several"
    first = [f"the greatest {name}" for name in draft.view.tie_break]
    return ", then ".join([*first, last, "the greatest by the other columns"])


def _by(form: IntervalForm) -> str:
    if form.simple:
        return ", straight from the leaves"
    hints = (re.sub(r'^"?.*__\d+_|"$', "", q.name) for q in form.prelude)
    steps = list(dict.fromkeys(_STEPS[h] for h in hints if h in _STEPS))
    return f", by way of {', '.join(steps)}" if steps else ""
