"""Spines without rows, and what a service's ``view.*`` stands for."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from feature_specs.manifest import Manifest
from tests.forebay.conftest import Shell

SERVICE = "dispute_risk_v1"


def types_of(path: Path) -> dict[str, str]:
    rows = duckdb.connect().execute(f"describe from '{path}'").fetchall()
    return {name: kind for name, kind, *_ in rows}


@pytest.mark.slow
def test_a_spine_without_rows_gives_a_training_set_without_rows(
    shop_shell: Shell, tmp_path: Path
) -> None:
    shell = shop_shell
    assert shell.run("train", SERVICE, "--spine", "data/labels.csv", "--out", "full.parquet") == 0
    full = types_of(shell.folder / "full.parquet")
    spines = {
        "header.csv": "payment_id,customer_id,event_timestamp,disputed\n",
        "nothing.csv": "",
        "nothing.json": "",
        "list.json": "[]",
    }
    for name, text in spines.items():
        spine, out = tmp_path / name, tmp_path / f"{name}.parquet"
        spine.write_text(text)
        words = ("train", SERVICE, "--spine", str(spine), "--out", str(out), "--json")
        assert shell.run(*words) == 0, (name, shell.err)
        assert json.loads(shell.out)["rows"] == 0
        made = types_of(out)
        # What the spine adds of its own has no type in a file without rows.
        own = ("payment_id", "disputed")
        expected = {n: "VARCHAR" if n in own else kind for n, kind in full.items()}
        if name != "header.csv":
            expected = {n: kind for n, kind in expected.items() if n not in own}
        assert made == expected, name

    spine = tmp_path / "header.csv"
    spine.write_text("customer_id,paid\n")
    line = shell.refused("train", SERVICE, "--spine", str(spine))
    assert "0 time columns" in line and "event_timestamp" in line
    named = ("--timestamp", "paid", "--out", "p.parquet")
    assert shell.run("train", SERVICE, "--spine", str(spine), *named) == 0
    assert types_of(shell.folder / "p.parquet")["paid"] == "TIMESTAMP WITH TIME ZONE"


@pytest.mark.slow
def test_a_tie_break_column_is_a_feature_only_where_it_is_named(shop_shell: Shell) -> None:
    shell = shop_shell
    path = shell.folder / "models" / "services.yml"
    text = path.read_text()
    lines = [line for line in text.splitlines(keepends=True) if "- last_payment." not in line]
    starred = "".join(lines).replace(
        "- card_activity.*\n", "- card_activity.*\n            - last_payment.*\n"
    )
    path.write_text(starred)
    assert shell.run("compile") == 0
    assert features(shell) == [
        "last_amount_cents",
        "last_category",
        "last_country",
        "seconds_since_last_payment",
    ]
    named = "- last_payment.*\n            - last_payment.payment_id\n"
    path.write_text(starred.replace("- last_payment.*\n", named))
    assert shell.run("compile") == 0
    assert features(shell)[-1] == "payment_id" and len(features(shell)) == 5


def features(shell: Shell) -> list[str]:
    catalog = json.loads((shell.folder / "target/forebay/catalog.json").read_text())
    listed = catalog["services"][SERVICE]["features"]
    return [feature for view, feature in listed if view == "last_payment"]


def test_the_star_leaves_out_what_settles_ties(tmp_path: Path) -> None:
    listed = {"feature_service": {"features": ["v.*", "w.*"]}}
    node = {
        "name": "s",
        "type": "ml",
        "config": {"meta": listed},
        "original_file_path": "s.yml",
        "depends_on": {"nodes": []},
    }
    raw = {
        "nodes": {},
        "sources": {},
        "exposures": {"exposure.s": node},
        "metadata": {"project_name": "p"},
    }
    manifest = Manifest(raw, tmp_path)
    views = {"v": ["a", "seq"], "w": ["seq"]}
    assert manifest.service("exposure.s", views, {"v": {"seq"}}).features == (
        ("v", "a"),
        ("w", "seq"),
    )
