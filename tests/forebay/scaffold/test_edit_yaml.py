"""Edits of YAML add what they are to add, and leave every other character as it was."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from forebay.scaffold.edit_yaml import add_item, add_to_list, add_to_mapping, replace_item

HOOK = "{{ ready() }}"
LISTS: tuple[tuple[str, list[str] | None], ...] = (
    ("other: 1\n", []),
    ("other: 1", []),
    ("key: a  # said\nother: 1\n", ["a"]),
    ("key: [a, 'b: c', ]  # said\n", ["a", "b: c"]),
    ("key: []\n", []),
    ("key:\nother: 1\n", []),
    ("key:\n- a  # said\n# next\nother: 1\n", ["a"]),
    ("key:\n  # said\n  - a\n\n  # next\nother: 1\n", ["a"]),
    ("key: [\n  a,\n  b\n]\n", ["a", "b"]),
    ("key: \"{{ x('a') }}\"\n", ["{{ x('a') }}"]),
    ("key: >\n  select 1,\n  2\n\nother: 1\n", ["select 1, 2\n"]),
    ("key: |-\n  select 1", ["select 1"]),
    ("key: select 'a'\n   'b'\nother: 1\n", ["select 'a' 'b'"]),
    ("key:\n  - a\n  - |\n    b\nother: 1\n", ["a", "b\n"]),
    ("key: {a: 1}\n", None),
)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("text", "items"), LISTS)
def test_an_item_is_added_to_a_list(text: str, items: list[str] | None, first: bool) -> None:
    if items is None:
        with pytest.raises(ValueError, match="is not a list"):
            add_to_list(text, "key", HOOK, first=first)
        return
    after = add_to_list(text, "key", HOOK, first=first)
    data: dict[str, Any] = yaml.safe_load(after)
    assert data.pop("key") == ([HOOK, *items] if first else [*items, HOOK])
    before = yaml.safe_load(text)
    before.pop("key", None)
    assert data == before
    for comment in ("# said", "# next"):
        assert (comment in after) == (comment in text)


MAPPINGS = (
    "a:\n  b:\n    x: 1  # said\n    y: [2]\n\n# next\nc: 3\n",
    "a:\n  b:\n    x: 1\n    y:\n      - 2",
    "a: {b: {x: 1, y: [2]}}\nc: 3\n",
    "a:\n    b: {x: 1, y: [2]}  # said\n",
)


@pytest.mark.parametrize("text", MAPPINGS)
def test_a_key_is_added_to_a_mapping(text: str) -> None:
    after = add_to_mapping(text, ["a", "b"], "z", "- k: 1\n  l: 2\n", "[{k: 1, l: 2}]")
    data = yaml.safe_load(after)
    assert data["a"]["b"].pop("z") == [{"k": 1, "l": 2}]
    assert data == yaml.safe_load(text)
    assert after.count("#") == text.count("#")


ITEMS = (
    "a:\n  b:\n    - m: 1\n      n: {o: 2}  # said\n    - m: 3\n  c: 4\n",
    "a:\n  b:\n  - m: 1\n    n: {o: 2}\n  - m: 3",
    "a: {b: [{m: 1, n: {o: 2}}, {m: 3}], c: 4}\n",
    "a:\n  b:\n    - {m: 1, n: {o: 2}}\n    - {m: 3}\n",
)


@pytest.mark.parametrize("text", ITEMS)
def test_an_item_is_added_and_one_replaced(text: str) -> None:
    old = yaml.safe_load(text)["a"]["b"]
    after = add_item(text, ["a", "b"], "- m: 5\n  n: 6\n", "{m: 5, n: 6}")
    assert yaml.safe_load(after)["a"]["b"] == [*old, {"m": 5, "n": 6}]
    for number in (0, 1):
        after = replace_item(text, ["a", "b"], number, "- m: 5\n  n: 6\n", "{m: 5, n: 6}")
        found = yaml.safe_load(after)
        assert found["a"]["b"][number] == {"m": 5, "n": 6}
        assert found["a"]["b"][1 - number] == old[1 - number]
        assert found["a"].get("c") == yaml.safe_load(text)["a"].get("c")
