"""What is said of a definition that is another than the compiled one."""

from __future__ import annotations

import pytest

from lakehouse.check_current import differences
from lakehouse.dbt_definitions import Definition

OLD = {"sql": "1", "text": "1", "yaml": "1"}
FILES = {"model.shop.a": ("models/a.sql", "models/all.yml")}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (OLD, []),
        ({**OLD, "text": "2"}, []),
        ({**OLD, "text": "2", "sql": "2"}, ["models/a.sql"]),
        ({**OLD, "sql": "2"}, ["models/a.sql, by a macro, a variable or another target"]),
        ({**OLD, "yaml": "2"}, ["models/all.yml, in what it declares of a"]),
        ({**OLD, "text": "2", "yaml": "2"}, ["models/a.sql"]),
        ({"yaml": "2"}, ["models/a.sql"]),
    ],
)
def test_a_view(now: Definition, said: list[str]) -> None:
    assert (
        differences({"model.shop.a": OLD}, {"model.shop.a": now}, FILES, ["model.shop.a"]) == said
    )


def test_the_yaml_of_a_view_that_is_only_inlined_does_not_count() -> None:
    now = {"model.shop.a": {**OLD, "yaml": "2"}}
    assert differences({"model.shop.a": OLD}, now, FILES, ["model.shop.b"]) == []


def test_what_is_not_known_is_new() -> None:
    assert differences({}, {"model.shop.a": OLD}, FILES, []) == ["models/a.sql is new"]
