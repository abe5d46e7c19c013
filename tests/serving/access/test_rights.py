"""What a team may read, by access and group."""

from __future__ import annotations

import pytest

from feature_specs.access import ViewAccess
from serving.access.errors import ForbiddenError
from serving.access.rights import Readers, Rights

ACCESS = {
    "open": ViewAccess("public", "ops", "ops@x.org"),
    "usual": ViewAccess("protected", "ops", "ops@x.org"),
    "secret": ViewAccess("private", "risk", "risk@x.org"),
    "alone": ViewAccess("protected", "", "Ann"),
    "nobody": ViewAccess("private"),
    "later": ViewAccess("a word of a later dbt", "risk"),
}
READERS = Readers(ACCESS, ["ops", "risk", "empty"])


@pytest.mark.parametrize(
    ("groups", "protected", "reads"),
    [
        (["risk"], False, {"open", "usual", "secret", "alone", "later"}),
        (["ops"], False, {"open", "usual", "alone"}),
        (["empty"], False, {"open", "usual", "alone"}),
        (["ops", "risk"], False, {"open", "usual", "secret", "alone", "later"}),
        (["ads"], True, {"open", "usual", "alone"}),
        (["ads"], False, {"open"}),
        ([], False, {"open"}),
        ([""], True, {"open", "usual", "alone"}),
        (["Risk"], False, {"open"}),
        (["risk "], False, {"open"}),
    ],
)
def test_what_a_team_reads(groups: list[str], protected: bool, reads: set[str]) -> None:
    rights = Rights(frozenset(groups), protected)
    assert {view for view in [*ACCESS, "unknown"] if READERS.may_read(rights, view)} == reads


def test_a_refusal_says_who_to_ask() -> None:
    outside = Rights(frozenset({"ads"}), False)
    for view, asked in {"secret": "risk@x.org", "alone": "Ann", "nobody": "its author"}.items():
        with pytest.raises(ForbiddenError, match=f"Hint: ask {asked}$") as told:
            READERS.check("ads", outside, ["open", view])
        assert told.value.views == (view,)
    with pytest.raises(ForbiddenError, match=r"'usual' \(nor 'secret'\)") as told:
        READERS.check("ads", outside, ["usual", "open", "secret"])
    assert told.value.views == ("usual", "secret")
    with pytest.raises(ForbiddenError, match="forebay compile"):
        Readers({}, []).check("risk", Rights(frozenset({"risk"}), True), ["open"])
