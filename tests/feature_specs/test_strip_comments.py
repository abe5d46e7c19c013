"""Comments and layout go, and nothing that stands in quotes does."""

from __future__ import annotations

import pytest

from feature_specs.strip_comments import strip_comments

SAME = {
    "select a -- the key\nfrom t": "select a from t",
    "select /* x */ a\n\n  from t\n": "select a from t",
    "select a from t -- the end": "select a from t",
    "select '--' /* it's */, b": "select '--' , b",
}


@pytest.mark.parametrize(("commented", "plain"), SAME.items())
def test_comments_and_layout_do_not_count(commented: str, plain: str) -> None:
    assert strip_comments(commented) == plain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("select '-- a'", "select '-- b'"),
        ("select 'a  b'", "select 'a b'"),
        ("select 'it''s -- a'", "select 'it''s -- b'"),
        (r"select e'it\'s -- a'", r"select e'it\'s -- b'"),
        ('select "-- a"', 'select "-- b"'),
        ("select $$ it's -- a $$", "select $$ it's -- b $$"),
        ("select $q$ $$ -- a $q$", "select $q$ $$ -- b $q$"),
        ("select /* /* */ it's */ 'x -- a'", "select /* /* */ it's */ 'x -- b'"),
        ("select a - -1", "select a - 1"),
    ],
)
def test_what_is_quoted_counts(one: str, other: str) -> None:
    assert strip_comments(one) != strip_comments(other)
