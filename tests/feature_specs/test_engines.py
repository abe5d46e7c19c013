"""Every statement is written for Trino and Spark so that it parses there, or is refused by name."""

from __future__ import annotations

import pytest
import sqlglot

from feature_specs.compile import compile_view
from feature_specs.errors import CompileError
from feature_specs.view import FeatureView
from tests.feature_specs.test_algebra import CASES

#: Words that neither engine knows.
_FOREIGN = (
    "qualify ",
    "asof join",
    "asof left join",
    "epoch_us(",
    "make_timestamptz(",
    "hugeint",
    "int128",
)


@pytest.mark.parametrize("engine", ["trino", "spark"])
def test_statements_parse_in_the_dialect_or_are_refused(engine: str) -> None:
    written, refused = 0, 0
    for number, case in enumerate(CASES):
        view = compile_view(
            FeatureView(f"v{number}", case.sql, case.entities, **case.options), case.leaves
        )
        try:
            sql = view.point_in_time(engine=engine)
        except CompileError as error:
            assert error.what and error.mend
            refused += 1
            continue
        sqlglot.parse_one(sql, dialect=engine)
        plain = " ".join(sql.lower().split())
        foreign = [
            word
            for word in _FOREIGN
            if word in plain and not (engine == "spark" and word == "qualify ")
        ]
        assert not foreign, (case.name, foreign)
        written += 1
    assert written > 4 * refused, (written, refused)
