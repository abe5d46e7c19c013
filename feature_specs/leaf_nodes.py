"""dbt nodes that stand as leaves: seeds, snapshots, and models whose rows are taken as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_specs.errors import Location, SpecError

#: Materializations that hold no rows of their own: a view reads through them.
_INLINED = ("view", "ephemeral", "feature_view")

_ROLES = ("valid_from", "changelog", "time")


def meta_of(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """What stands under ``config.meta`` of a node, else under its own ``meta``."""
    return node["config"].get("meta") or node.get("meta") or {}


def view_meta(node: Mapping[str, Any]) -> object:
    """What is said of a feature view: ``feature_view``, or ``feature_store`` of dbt-features."""
    meta = meta_of(node)
    return meta["feature_view"] if "feature_view" in meta else meta.get("feature_store")


def stands_as_leaf(node: Mapping[str, Any]) -> bool:
    """Whether a view takes a node's rows as they are, rather than inline its query.

    Seeds and snapshots are leaves. A model is one where its author says so (``meta.time_safe`` or
    ``written: mutable``), and where it has no query that could be inlined: incremental and Python
    models. Any other model is inlined, which takes nothing on anybody's word.
    """
    kind = node["resource_type"]
    if kind in ("seed", "snapshot"):
        return True
    if kind != "model":
        return False
    if node.get("language", "sql") != "sql" or node["config"]["materialized"] == "incremental":
        return True
    if node["config"]["materialized"] in _INLINED:
        return False
    meta = meta_of(node)
    return bool(meta.get("time_safe")) or meta.get("written") == "mutable"


def has_role(node: Mapping[str, Any]) -> bool:
    """Whether anything is declared of when a node's rows could be seen."""
    meta = meta_of(node)
    return bool(node["config"].get("event_time")) or any(meta.get(name) for name in _ROLES)


def check_role(node: Mapping[str, Any], where: Location | str) -> None:
    """Make sure that a model which stands as a leaf says when its rows could be seen.

    Raises:
        SpecError: it has no time role, or its author does not answer for its rows.
    """
    meta = meta_of(node)
    if node["resource_type"] != "model" or meta.get("written") == "mutable":
        return
    python = node.get("language", "sql") != "sql"
    what = "Python model" if python else f"{node['config']['materialized']} model"
    if not has_role(node):
        raise SpecError(
            f"{what} {node['name']!r} stands under a feature view, but nothing says when its rows "
            "could be seen",
            where=where,
            hint="add `config: {event_time: <column>, meta: {time_safe: true}}` to it if its rows "
            "are only added to, and depend on nothing later than themselves; or "
            "`config: {meta: {written: mutable}}` if they are rewritten, and then no training set "
            "can be made of them",
        )
    if not meta.get("time_safe"):
        raise SpecError(
            f"{what} {node['name']!r} has a time role, but nothing shows that its rows depend on "
            "nothing later than themselves",
            where=where,
            hint="add `config: {meta: {time_safe: true}}` to it if that is so (the certificate "
            "prints it), or `written: mutable` if its rows are rewritten",
        )


def leaf_relation(node: Mapping[str, Any]) -> str:
    """The relation under which a node's rows in Iceberg are read.

    Not the node's own: that one is a table in the project's DuckDB file, of other types and of
    another instant.
    """
    return f'"{node["database"]}"."{node["schema"]}__leaves"."{node["alias"]}"'


def leaf_query(node: Mapping[str, Any]) -> str:
    """The query that stands for a node that is a leaf.

    Under ``hard_deletes: new_record`` a snapshot says by a row of its own that a row is gone. The
    table had no such row, so only ``visibility: history`` shows it.
    """
    select = f"select * from {leaf_relation(node)}"
    tombstones = (
        node["resource_type"] == "snapshot"
        and node["config"].get("hard_deletes") == "new_record"
        and meta_of(node).get("visibility") != "history"
    )
    if not tombstones:
        return select
    return f"{select} where \"{snapshot_columns(node)['dbt_is_deleted']}\" is distinct from 'True'"


def query_of(node: Mapping[str, Any]) -> str:
    """The query that stands for a node which a view reads."""
    return leaf_query(node) if stands_as_leaf(node) else str(node["compiled_code"])


def snapshot_columns(node: Mapping[str, Any]) -> dict[str, str]:
    """dbt's name of each of a snapshot's own columns to the name that it has there."""
    renamed = node["config"].get("snapshot_meta_column_names") or {}
    known = ("dbt_valid_from", "dbt_valid_to", "dbt_scd_id", "dbt_updated_at", "dbt_is_deleted")
    return {name: str(renamed.get(name) or name) for name in known}
