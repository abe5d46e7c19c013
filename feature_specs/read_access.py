"""Reading dbt's access modifiers and groups from its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_specs.access import PROTECTED, ViewAccess
from feature_specs.leaf_nodes import view_meta


def read_access(
    views: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Any]
) -> dict[str, ViewAccess]:
    """Who may read each view.

    Args:
        views: dbt's node of each view, by the view's name.
        groups: dbt's groups by unique id.
    """
    owners = {str(group["name"]): _contact(group.get("owner")) for group in groups.values()}
    made = {}
    for name, node in views.items():
        group = str(node.get("group") or "")
        options = view_meta(node)
        own = options.get("owner") if isinstance(options, Mapping) else None
        access = str(node.get("access") or PROTECTED)
        made[name] = ViewAccess(access, group, owners.get(group) or str(own or ""))
    return made


def group_names(groups: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of dbt's groups."""
    return tuple(sorted(str(group["name"]) for group in groups.values()))


def _contact(owner: Mapping[str, Any] | None) -> str:
    given = owner or {}
    return str(given.get("email") or given.get("name") or "")
