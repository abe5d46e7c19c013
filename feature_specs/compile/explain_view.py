"""What an author reads to trust a view: roles, shape, lowering and why, the proof, and the SQL."""

from __future__ import annotations

import re

from feature_specs.compile.draft import Draft, IntervalForm
from feature_specs.compile.lowerings.choose_lowering import Choice
from feature_specs.compile.maintain_state import Incremental
from feature_specs.compile.proof.certify_bounds import Certificate
from feature_specs.compile.read_deltas import why_no_deltas
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
    draft: Draft, choice: Choice, certificate: Certificate, state: Incremental, title: str, sql: str
) -> str:
    """The explanation as text; the SQL stands last, under its title."""
    view = draft.view
    kind = "history" if view.event_time else "as-of"
    lines = [f"view {view.name} ({kind} view), entities: {', '.join(view.entities)}"]
    lines += ["leaves:"] + [f"  {leaf.name}: {_role(leaf)}" for leaf in draft.leaves.values()]
    lines += ["shape:", f"  {_shape(draft)}"]
    lines += [f"lowering: {choice.lowering}", *(f"  {reason}" for reason in choice.reasons)]
    how = "the entities that changed" if state.by_key else "every entity"
    lines += [f"incremental: a step recomputes {how}, since {state.why}"]
    why = why_no_deltas(draft)
    steps = "adds deltas to the sums it keeps" if why is None else f"adds no deltas, since {why}"
    lines += [f"  its feature table {steps}"]
    lines += ["certificate:", *(f"  {line}" for line in certificate.lines())]
    return "\n".join([*lines, "", f"-- {title}", sql])


def _role(leaf: Leaf) -> str:
    return f"{leaf.role}, rewritten in place" if leaf.written == "mutable" else str(leaf.role)


def _shape(draft: Draft) -> str:
    form = draft.form
    if form is None:
        return f"no interval form: {draft.why_no_form}"
    what = "groups of rows" if form.grouped else "rows"
    one = (
        "one row an entity, proved" if form.unique else "one row an entity, checked when it is read"
    )
    if draft.view.event_time is not None:
        one = "the greatest row an entity answers"
    return f"{what} with lifetimes{_by(form)}; {one}"


def _by(form: IntervalForm) -> str:
    if form.simple:
        return ", straight from the leaves"
    hints = (re.sub(r'^"?.*__\d+_|"$', "", q.name) for q in form.prelude)
    steps = list(dict.fromkeys(_STEPS[h] for h in hints if h in _STEPS))
    return f", by way of {', '.join(steps)}" if steps else ""
