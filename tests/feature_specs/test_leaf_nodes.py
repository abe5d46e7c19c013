"""Which dbt nodes stand as leaves, what they must say, and what a service must name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from feature_specs.errors import SpecError
from feature_specs.leaf_nodes import leaf_query, stands_as_leaf
from feature_specs.manifest import Manifest

TZ = "TIMESTAMP WITH TIME ZONE"


def node(
    name: str, kind: str = "model", reads: tuple[str, ...] = (), **config: Any
) -> dict[str, Any]:
    """A node as dbt's manifest has it."""
    language = config.pop("language", "sql")
    return {
        "resource_type": kind, "name": name, "alias": name, "schema": "main", "database": "dev",
        "relation_name": f'"dev"."main"."{name}"', "language": language, "version": None,
        "original_file_path": f"{kind}s/{name}.sql", "patch_path": None, "package_name": "shop",
        "compiled_code": f"select * from {name}", "depends_on": {"nodes": list(reads)},
        "config": {"materialized": "view", "meta": {}, **config},
    }  # fmt: skip


def manifest(*nodes: dict[str, Any], exposures: dict[str, Any] | None = None) -> Manifest:
    return Manifest(
        {
            "metadata": {"project_name": "shop"},
            "nodes": {f"{n['resource_type']}.shop.{n['name']}": n for n in nodes},
            "sources": {
                "source.shop.raw.orders": {
                    **node("orders", "source"), "source_name": "raw", "identifier": "orders",
                    "relation_name": '"dev"."raw"."orders"',
                }
            },
            "exposures": exposures or {},
        },
        Path("/nowhere"),
    )  # fmt: skip


def view(*reads: str, name: str = "v") -> dict[str, Any]:
    meta = {"feature_view": {"entities": ["k"]}}
    return node(name, "model", reads, materialized="feature_view", meta=meta)


def test_models_are_inlined_unless_their_author_answers_for_their_rows() -> None:
    safe = {"time_safe": True}
    for expected, made in (
        (True, node("a", "seed", materialized="seed")),
        (True, node("a", "snapshot", materialized="snapshot")),
        (True, node("a", materialized="incremental")),
        (True, node("a", materialized="table", language="python")),
        (True, node("a", materialized="table", event_time="ts", meta=safe)),
        (True, node("a", materialized="table", meta={"written": "mutable"})),
        (False, node("a", materialized="table")),
        (False, node("a", materialized="table", event_time="ts")),
        (False, node("a", materialized="view", event_time="ts", meta=safe)),
        (False, node("a", materialized="ephemeral", meta={"written": "mutable"})),
        (False, view()),
    ):
        assert stands_as_leaf(made) is expected, made


def test_a_leaf_is_read_by_its_copy_and_what_stands_under_it_is_not() -> None:
    found = manifest(
        view("model.shop.stg"),
        node("stg", "model", ("model.shop.fct", "seed.shop.s")),
        node("fct", "model", ("source.shop.raw.orders",), materialized="incremental",
             event_time="ts", meta={"time_safe": True}),
        node("s", "seed", materialized="seed"),
    )  # fmt: skip
    declared = found.view("model.shop.v")
    assert set(declared.sources) == {"model.shop.fct", "seed.shop.s"}
    assert found.leaf_nodes() == ["model.shop.fct", "seed.shop.s"]
    models = declared.view.models
    assert models['"dev"."main"."fct"'] == 'select * from "dev"."main__leaves"."fct"'
    assert models['"dev"."main"."stg"'] == "select * from stg"
    assert found.iceberg_table("model.shop.fct") == "main.fct"


def test_a_model_without_role_or_word_names_the_line_to_add() -> None:
    for config, what, line in (
        ({}, "nothing says when its rows could be seen", "event_time: <column>"),
        ({"event_time": "ts"}, "depend on nothing later", "time_safe: true"),
        ({"meta": {"time_safe": True}}, "nothing says when", "event_time: <column>"),
    ):
        read = node("fct", materialized="incremental", **config)
        with pytest.raises(SpecError, match=what) as caught:
            manifest(view("model.shop.fct"), read).view("model.shop.v")
        assert line in caught.value.hint and "incremental model 'fct'" in caught.value.what
        assert str(caught.value.where) == "models/fct.sql"
    python = node("py", materialized="table", language="python", event_time="ts")
    with pytest.raises(SpecError, match="Python model 'py'"):
        manifest(view("model.shop.py"), python).leaf_nodes()


def test_a_leaf_may_not_read_features() -> None:
    fct = node("fct", "model", ("model.shop.w",), materialized="table", event_time="ts",
               meta={"time_safe": True})  # fmt: skip
    with pytest.raises(SpecError, match="reads feature view 'w'"):
        manifest(view("model.shop.fct"), fct, view(name="w")).view("model.shop.v")


def test_a_source_that_a_node_makes_is_read_by_ref() -> None:
    seed = node("orders", "seed", materialized="seed")
    seed["relation_name"] = '"dev"."raw"."orders"'
    with pytest.raises(SpecError, match="is the table that seed 'orders' makes") as caught:
        manifest(view("source.shop.raw.orders"), seed).view("model.shop.v")
    assert "ref('orders')" in caught.value.hint


def test_roles_of_seeds_snapshots_and_models() -> None:
    columns = {
        "k": "VARCHAR",
        "ts": TZ,
        "seen": TZ,
        "dbt_valid_from": "TIMESTAMP",
        "till": "TIMESTAMP",
    }
    snapshot = node(
        "snap", "snapshot", materialized="snapshot", event_time="ts",
        snapshot_meta_column_names={"dbt_valid_to": "till", "dbt_valid_from": None},
    )  # fmt: skip
    made = manifest(
        node("s", "seed", materialized="seed"),
        node("e", "seed", materialized="seed", event_time="ts"),
        node("m", "seed", materialized="seed", meta={"written": "mutable"}),
        node("fct", event_time="ts", meta={"loaded_at_field": "seen", "time_safe": True}),
        snapshot,
    )
    assert made.leaf("seed.shop.s", columns).role == "static"
    assert made.leaf("seed.shop.e", columns).role == "event"
    mutable = made.leaf("seed.shop.m", columns)
    assert (mutable.static, mutable.written) == (False, "mutable")
    fct = made.leaf("model.shop.fct", columns)
    assert (fct.role, fct.loaded_at, fct.time_safe) == ("arrival", "seen", True)
    leaf = made.leaf("snapshot.shop.snap", columns, valid_to_open="9999-12-31")
    assert (leaf.valid_from, leaf.valid_to, leaf.timezone) == ("dbt_valid_from", "till", "UTC")
    assert (leaf.role, leaf.valid_to_open) == ("history", "9999-12-31")
    snapshot["config"]["meta"] = {"timezone": "Europe/Berlin"}
    assert made.leaf("snapshot.shop.snap", columns).timezone == "Europe/Berlin"


def test_an_inclusive_end_in_yaml() -> None:
    columns = {"k": "VARCHAR", "since": TZ, "until": TZ}
    ends = {"valid_from": "since", "valid_to": "until", "valid_to_inclusive": True}
    made = manifest(
        node("prices", "seed", materialized="seed", meta=ends),
        node("snap", "snapshot", materialized="snapshot", meta={"valid_to_inclusive": True}),
    )
    assert made.leaf("seed.shop.prices", columns).valid_to_inclusive
    with pytest.raises(SpecError, match="a snapshot says valid_to_inclusive"):
        made.leaf("snapshot.shop.snap", columns)


def test_deletions_of_a_snapshot_are_no_rows_unless_its_history_is_read() -> None:
    config: dict[str, Any] = {"hard_deletes": "new_record", "materialized": "snapshot"}
    snapshot = node("snap", "snapshot", **config)
    assert leaf_query(snapshot).endswith("where \"dbt_is_deleted\" is distinct from 'True'")
    renamed: dict[str, Any] = {**config, "snapshot_meta_column_names": {"dbt_is_deleted": "gone"}}
    assert '"gone" is distinct' in leaf_query(node("snap", "snapshot", **renamed))
    history = node("snap", "snapshot", **config, meta={"visibility": "history"})
    assert "where" not in leaf_query(history)


def test_a_service_names_the_views_it_reads_in_its_depends_on() -> None:
    exposure = {
        "name": "svc", "type": "ml", "depends_on": {"nodes": ["model.shop.v"]}, "owner": {},
        "original_file_path": "models/svc.yml", "patch_path": None,
        "config": {"meta": {"feature_service": {"features": ["v.*", "w.x"]}}},
    }  # fmt: skip
    made = manifest(view(), view(name="w"), exposures={"exposure.shop.svc": exposure})
    known = {"v": ["a"], "w": ["x"]}
    with pytest.raises(SpecError, match="exposure 'svc' lists features of w, which") as caught:
        made.service("exposure.shop.svc", known)
    assert "`- ref('w')`" in caught.value.hint and "models/svc.yml" in str(caught.value.where)
    exposure["depends_on"] = {"nodes": ["model.shop.v", "model.shop.w"]}
    assert made.service("exposure.shop.svc", known).features == (("v", "a"), ("w", "x"))
