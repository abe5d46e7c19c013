"""A project with one view, built as a test likes, and measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from feature_specs.view_entry import Column, Feature
from lakehouse.plans import plan_folder
from tests.serving.project import Project, make_view


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with the view ``delays``, whose third feature wants a request value."""
    made = Project(tmp_path)
    view = make_view("delays", definition_hash="meaning1")
    asked = Feature("asked", "DOUBLE", expression=["add", ["column", "n"], ["request", "amount"]])
    features, requests = (*view.features, asked), (Column("amount", "DOUBLE"),)
    made.add(replace(view, features=features, requests=requests))
    folder = plan_folder(tmp_path, "delays")
    folder.mkdir(parents=True)
    (folder / "features.sql").write_text("select carrier, n, delay from forebay_stored")
    return made
