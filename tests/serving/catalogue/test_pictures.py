"""Pictures: bars whose areas are shares, beside the baseline's, and what a static site leaves out."""

from __future__ import annotations

import json
from dataclasses import replace
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from feature_specs.feature_shapes import SHAPES, FeatureShape, load_shapes
from serving.api import create_app
from serving.catalogue.pictures import HEIGHT, WIDTH, draw, number
from tests.serving.catalogue.conftest import Shown

NUMBERS = FeatureShape(
    meaning="d1",
    as_of="2026-11-29T09:00:00+00:00",
    kind="number",
    rows=100,
    nulls=10,
    nans=0,
    distinct=80,
    mean=5.0,
    stddev=1.0,
    quantiles=(0.0, 1.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 8.0, 9.0, 100.0),
    edges=(2.0, 4.0),
    counts=(10, 40, 40),
    baseline=(30, 30, 30),
    null_rates=(0.0, 0.5, 0.1),
)


def test_the_areas_of_bars_are_shares() -> None:
    bars = draw(NUMBERS, values=True).bars
    # From 1% to the first edge, between the edges, from there to 99%: 1 to 2, 2 to 4, 4 to 9.
    assert [bar.width for bar in bars] == pytest.approx([WIDTH / 8, WIDTH / 4, WIDTH * 5 / 8])
    areas = [bar.width * bar.height for bar in bars]
    assert [area / sum(areas) for area in areas] == pytest.approx([1 / 9, 4 / 9, 4 / 9])
    assert bars[2].x + bars[2].width == pytest.approx(WIDTH)
    assert all(bar.y + bar.height == pytest.approx(HEIGHT) for bar in bars)
    assert [bar.label for bar in bars] == ["1 to 2: 11.1%", "2 to 4: 44.4%", "4 to 9: 44.4%"]


def test_the_baseline_is_drawn_on_the_same_scale() -> None:
    # Densities of the baseline: a third over 1, 2 and 5; the greatest of all is its first.
    drawn = draw(NUMBERS, values=True)
    assert drawn.outline.startswith(f"M0.0 {HEIGHT}L0.0 0.0L50.0 0.0L50.0 55.0L150.0 55.0")
    assert max(bar.height for bar in drawn.bars) < HEIGHT
    assert draw(replace(NUMBERS, baseline=()), values=True).outline == ""


def test_what_cannot_be_drawn_is_left_out() -> None:
    for shape in (
        replace(NUMBERS, counts=(), baseline=()),
        replace(NUMBERS, counts=(0, 0, 0), baseline=()),
        replace(NUMBERS, quantiles=()),
        replace(NUMBERS, kind="other"),
        replace(NUMBERS, counts=(1, 2)),
    ):
        drawn = draw(shape, values=True)
        assert (drawn.bars, drawn.shares) == ((), ()) and drawn.facts
    assert draw(replace(NUMBERS, null_rates=(0.1,)), values=True).nulls == ""
    one = replace(NUMBERS, quantiles=(3.0,) * 11, edges=(3.0,), counts=(9, 0), baseline=())
    assert all(bar.width > 0 for bar in draw(one, values=True).bars[:1])


def test_facts() -> None:
    assert draw(NUMBERS, values=True).facts == (
        ("Entities", "100"), ("Null", "10%"), ("Distinct", "80"), ("Mean", "5"), ("Median", "4"),
        ("From 1% to 99%", "1 to 9"),
    )  # fmt: skip
    assert number(-1_234.5) == "-1,234" and number(1e20) == "1e+20"


def test_categories_are_values_of_entities() -> None:
    shape = replace(
        NUMBERS, kind="category", edges=(), categories=("<b>JFK", "LGA"), counts=(20, 60, 20),
        baseline=(40, 40, 20),
    )  # fmt: skip
    shares = draw(shape, values=True).shares
    assert [(s.name, s.now, s.before) for s in shares] == [
        ("LGA", 60.0, 40.0), ("<b>JFK", 20.0, 40.0), ("all others", 20.0, 20.0),
    ]  # fmt: skip
    assert draw(shape, values=False).shares == ()


def test_a_page_shows_it_for_the_definition_that_is_served(shown: Shown) -> None:
    def page() -> str:
        with TestClient(create_app(shown.project.catalog, path=shown.path)) as client:
            return client.get("/feature/delays/delay").text

    assert "How they are spread" not in page()
    shape = {"features": {"delays:delay": {**vars(NUMBERS)}}, "format": 1}

    (shown.folder / SHAPES).write_text(json.dumps(shape))
    assert load_shapes(shown.folder / SHAPES)["delays:delay"] == NUMBERS
    assert "Distribution of delay" in page() and "2 to 4: 44.4%" in page()
    shape["features"]["delays:delay"]["meaning"] = "another"  # type: ignore[index]
    (shown.folder / SHAPES).write_text(json.dumps(shape))
    assert "How they are spread" not in page()
    (shown.folder / SHAPES).write_text("{")
    assert "How they are spread" not in page()


@given(st.lists(st.floats(allow_nan=False), min_size=11, max_size=11), st.integers(1, 9))
def test_any_numbers_can_be_drawn(values: list[float], bins: int) -> None:
    quantiles = tuple(sorted(values))
    edges = tuple(sorted(set(quantiles[1 : bins + 1])))
    counts = tuple(range(len(edges) + 1))
    shape = replace(NUMBERS, quantiles=quantiles, edges=edges, counts=counts, baseline=counts)
    for bar in draw(shape, values=True).bars:
        assert isfinite(bar.x) and isfinite(bar.width) and bar.width >= 0
        assert 0 <= bar.height <= HEIGHT * (1 + 1e-9)
