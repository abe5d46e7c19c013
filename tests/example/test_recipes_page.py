"""docs/recipes.md: each recipe is the oracle's in every variant, and brought forward by its keys."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feature_specs.compile import compile_view
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.example.test_authoring_page import ROOT, plain, said
from tests.feature_specs.agreement import make_world
from tests.feature_specs.oracle import Row
from tests.lakehouse.builds import Build

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "recipes.md").read_text()
BLOCKS = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)

#: The columns of the example's table that the page reads.
DEPARTURES = Leaf(
    "departures",
    {
        "tailnum": "VARCHAR",
        "departed_at": "TIMESTAMP WITH TIME ZONE",
        "flight_id": "INTEGER",
        "dest": "VARCHAR",
        "dep_delay": "INTEGER",
    },
    event_time="departed_at",
)
START = datetime(2013, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def view_of(block: str) -> FeatureView:
    return FeatureView(
        "recipe",
        re.sub(r"^-- .*\n", "", plain(block), flags=re.MULTILINE),
        said(block, "entities"),
        event_time=next(iter(said(block, "event_time")), None),
        tie_break=said(block, "tie_break"),
        file="recipes.md",
    )


def flights(rng: random.Random, first: int, count: int, since: datetime) -> list[Row]:
    """Departures of some aircraft within a few days, some at one instant, some bound for nowhere."""
    return [
        (
            rng.choice(["N1", "N2", "N3", None]),
            since + rng.choice([0, 0.5, 1, 2, 3.25]) * DAY,
            number,
            rng.choice(["BOS", "LAX", "ORD", "SFO", "MIA", None]),
            rng.choice([None, -3, 0, 12, 45]),
        )
        for number in range(first, first + count)
    ]


def test_the_page_has_its_recipes() -> None:
    assert len(BLOCKS) == 5


@pytest.mark.parametrize("block", BLOCKS)
def test_a_recipe_in_every_variant(block: str) -> None:
    rows = flights(random.Random(1), 1, 40, START)
    ats = [START + n * DAY for n in (-1, 0, 0.5, 1, 1.5, 3, 3.25, 20, 30, 30.5, 31, 34)]
    pairs = [(tail, at) for tail in ("N1", "N2", "N3", "N4") for at in ats]
    spine = [(n, tail, at, None) for n, (tail, at) in enumerate(pairs)]
    world = make_world(view_of(block), [DEPARTURES], {"departures": rows}, spine)
    assert len(world.check_point_in_time()) > 2
    world.check_as_of(ats)
    world.check_online(ats, timedelta())


@pytest.mark.parametrize("block", BLOCKS)
def test_a_recipe_steps_by_its_keys(block: str, tmp_path: Path) -> None:
    view = view_of(block)
    assert compile_view(view, [DEPARTURES]).stored_queries().touched is not None
    rng = random.Random(2)
    build = Build(tmp_path, view, [DEPARTURES])
    made = 1
    for n in (4, 5, 9, 33, 34.5):
        at = START + n * DAY
        build.append(DEPARTURES, flights(rng, made, 6, at - 4 * DAY))
        made += 6
        done = build.advance(at)
        assert done.how == ("full" if n == 4 else "step"), done.why
        build.check(at)
