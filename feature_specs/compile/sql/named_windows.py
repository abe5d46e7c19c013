"""Replace references to named windows by their definitions."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.names import fold_name


def expand_named_windows(select: exp.Select) -> None:
    """Replace ``over w`` by the definition in ``window w as (...)``, in place."""
    named = {fold_name(w.name): w for w in select.args.get("windows") or []}
    for node in list(select.find_all(exp.Window)) if named else []:
        base = named.get(fold_name(node.alias)) if node.args.get("alias") else None
        if base is None or node.parent_select is not select:
            continue
        for part in ("partition_by", "order", "spec"):
            value = base.args.get(part)
            if value and not node.args.get(part):
                copied = [v.copy() for v in value] if isinstance(value, list) else value.copy()
                node.set(part, copied)
        node.set("alias", None)
    select.set("windows", None)
