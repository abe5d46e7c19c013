"""Column lineage of events, from lineage.json."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from feature_specs.catalog import load_catalog
from forebay.events.view_columns import set_columns, view_columns
from lakehouse.lake import open_lake
from lineage.view_lineage import load_lineage
from tests.forebay.conftest import Shell
from tests.forebay.small import lake_of, make_project


def test_lineage_is_read_once_and_a_view_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_project(tmp_path / "shop")
    assert Shell(root, monkeypatch, capsys).run("compile") == 0
    catalog = load_catalog(root / "target" / "forebay" / "catalog.json")
    lake = open_lake(lake_of(root))
    decoded: list[Mapping[str, Any]] = []
    read: list[str] = []
    decode, parse = load_lineage, json.loads

    def counted(raw: Mapping[str, Any]) -> Any:
        decoded.append(raw)
        return decode(raw)

    def counted_parse(text: str, **options: Any) -> Any:
        read.append(text)
        return parse(text, **options)

    monkeypatch.setattr("lineage.project_lineage.load_lineage", counted)
    monkeypatch.setattr("lineage.project_lineage.json.loads", counted_parse)
    features: list[Mapping[str, Any]] = [
        {"name": f"spending__{f.name}", "view": "spending", "feature": f.name}
        for f in catalog.views["spending"].features
    ]
    facet = set_columns(root, catalog, features, lake)
    assert facet is not None and len(facet["fields"]) == 3
    assert len(decoded) == 1
    assert view_columns(root, catalog, catalog.views["spending"], lake) is not None
    assert len([text for text in read if text.startswith('{"format"')]) == 1

    # What a later compile writes is read.
    path = root / "target" / "forebay" / "lineage.json"
    path.write_text(path.read_text().replace('"most_60d":[', '"least_60d":[', 1))
    os.utime(path, ns=(1, 1))
    changed = view_columns(root, catalog, catalog.views["spending"], lake)
    assert changed is not None
    assert {"least_60d", "spent_60d"} <= set(changed["fields"])
    path.unlink()
    assert view_columns(root, catalog, catalog.views["spending"], lake) is None
