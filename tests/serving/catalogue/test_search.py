"""Search and facets, beside slow and simple ones of the tests' own."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.catalogue_project import make_project
from serving.catalogue.directory import Directory, Item
from serving.catalogue.facets import Facets
from serving.catalogue.search import Index, slips_to
from serving.catalogue.slugs import slug, unique_slugs

_CATALOG, _FACTS = make_project(views=12, features=8, services=3, groups=4)
_DIRECTORY = Directory(_CATALOG, _FACTS, _CATALOG.access)
_INDEX, _FACETS = Index(_DIRECTORY.features), Facets(_DIRECTORY.features)
_LETTERS = st.text("abcde_", max_size=7)
_QUERIES = st.lists(
    st.sampled_from(
        [
            "m",
            "me",
            "mean",
            "maen",
            "amount",
            "amonut",
            "7d",
            "fraud",
            "customer",
            "custmer",
            "paymetns",
            "group_01",
            "team01",
            "the",
            "zzzz",
            "double",
            "raw.payments",
            "payments.amount_net",
            "sum_fee_24h",
            "card_id",
            "x",
        ]
    )
    | _LETTERS,
    max_size=4,
).map(" ".join)


def plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.lower())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def fields(item: Item) -> list[tuple[int, str, bool]]:
    """Weight, text and whether it is a name, as docs/catalogue.md orders them."""
    view = item.view
    return [
        (12, item.feature.name, True),
        (6, view.name, True),
        *((6, tag, True) for tag in item.tags),
        *((5, c.name, True) for c in view.entities),
        *((4, s, True) for s in (*item.sources, *item.leaves)),
        (3, view.owner, True),
        (3, item.access.group, True),
        (3, item.feature.description, False),
        (3, item.feature.type, False),
    ]


def words_of(item: Item) -> dict[str, int]:
    out: dict[str, int] = {}
    for weight, text, name in fields(item):
        folded = plain(text)
        found = [(p, weight) for p in re.split(r"[\W_]+", folded) if p]
        found = [(p, w) for p, w in found if not name or p != folded]
        found += [(folded, 2 * weight)] if name and folded else []
        for word, counts in found:
            out[word] = max(out.get(word, 0), counts)
    return out


WORDS = [words_of(item) for item in _DIRECTORY.features]
VOCABULARY = sorted({word for words in WORDS for word in words})


@cache
def slips(a: str, b: str) -> int:
    """Slips between whole words, by the definition."""
    if not a or not b:
        return len(a) + len(b)
    least = min(
        slips(a[:-1], b) + 1, slips(a, b[:-1]) + 1, slips(a[:-1], b[:-1]) + (a[-1] != b[-1])
    )
    if len(a) > 1 and len(b) > 1 and a[-2:] == b[-2:][::-1]:
        least = min(least, slips(a[:-2], b[:-2]) + 1)
    return least


def qualities(word: str) -> dict[str, int]:
    out = {}
    for known in VOCABULARY:
        if known == word:
            out[known] = 8
        elif known.startswith(word):
            names = {plain(i.feature.name) for i in _DIRECTORY.features}
            if len(word) > 1 or known in names:
                out[known] = 5
        elif len(word) >= 3 and word in known:
            out[known] = 2
    if out or len(word) < 4:
        return out
    most = 2 if len(word) >= 8 else 1
    near = {}
    for known in VOCABULARY:
        if known[0] in word[:2]:
            near[known] = min(slips(word, known[:n]) for n in range(len(known) + 1))
    near = {k: n for k, n in near.items() if n <= most}
    fewest = min(near.values(), default=0)
    return {k: 3 - n for k, n in near.items() if n == fewest}


def simple_search(query: str) -> list[int]:
    words: list[str] = []
    for word in plain(query).split():
        parts = [word] if word in VOCABULARY else re.split(r"[:.@/]|__", word)
        words += [p for p in parts if p.strip("_") and p not in words]
    rated = [
        [max((q * found.get(k, 0) for k, q in known.items()), default=0) for found in WORDS]
        for known in map(qualities, words)
    ]
    matched = [sum(r[n] > 0 for r in rated) for n in range(len(WORDS))]
    most = max(matched, default=0)
    items = _DIRECTORY.features
    found = [n for n in range(len(WORDS)) if most and matched[n] == most]
    return sorted(
        found,
        key=lambda n: (-sum(r[n] for r in rated), len(items[n].feature.name), items[n].reference),
    )


@given(_QUERIES)
def test_the_search_finds_and_ranks_as_a_simple_one_does(query: str) -> None:
    assert _INDEX.search(query) == simple_search(query)


@given(_LETTERS, _LETTERS, st.integers(1, 2))
def test_slips_are_counted_by_the_definition(word: str, known: str, most: int) -> None:
    least = min(slips(word, known[:n]) for n in range(len(known) + 1))
    assert slips_to(word, known, most) == min(least, most + 1)


def test_what_people_type_finds_what_they_mean() -> None:
    item = _DIRECTORY.features[37]
    first = {
        item.reference: item,
        f"{item.view.name}.{item.feature.name}": item,
        f"{item.view.name}__{item.feature.name}": item,
        item.reference.upper(): item,
    }
    for query, meant in first.items():
        assert _DIRECTORY.features[_INDEX.search(query)[0]] is meant, query
    letters = item.view.name
    swapped = letters[0] + letters[2] + letters[1] + letters[3:]
    found = {_DIRECTORY.features[n].view.name for n in _INDEX.search(swapped)}
    assert found == {item.view.name}


_CHOSEN = st.fixed_dictionaries(
    {},
    optional={
        "entity": st.lists(st.sampled_from(sorted(_DIRECTORY.entities)), min_size=1, max_size=3),
        "tag": st.lists(st.sampled_from(["fraud", "gold", "none"]), min_size=1, max_size=2),
        "type": st.lists(st.sampled_from(["DOUBLE", "BIGINT"]), min_size=1, max_size=2),
        "status": st.lists(st.sampled_from(["fresh", "stale"]), min_size=1, max_size=2),
    },
)


@given(_CHOSEN, st.integers(0, 3))
def test_facets_count_what_one_more_choice_would_leave(
    chosen: dict[str, list[str]], fresh: int
) -> None:
    names = list(_CATALOG.views)
    status = {name: "fresh" if i % 4 <= fresh else "stale" for i, name in enumerate(names)}

    def values(item: Item, facet: str) -> list[str]:
        known = {
            "entity": [item.entity], "tag": list(item.tags), "type": [item.feature.type],
            "status": [status[item.view.name]], "owner": [item.view.owner],
            "group": [item.access.group], "source": list(item.leaves),
        }  # fmt: skip
        return known[facet]

    def has(item: Item, but: str = "") -> bool:
        return all(
            facet == but or set(wanted) & set(values(item, facet))
            for facet, wanted in chosen.items()
        )

    items = _DIRECTORY.features
    every = range(len(items))
    assert _FACETS.chosen(every, chosen, status) == [n for n in every if has(items[n])]
    made = _FACETS.count(every, chosen, status, most=1_000)
    for facet in made:
        counts = Counter(v for i in items if has(i, facet.name) for v in values(i, facet.name))
        known = dict(facet.values)
        assert {v: n for v, n in known.items() if n} == dict(counts)
        assert set(chosen.get(facet.name, ())) <= set(known)


@given(st.lists(st.text(max_size=140), max_size=8))
def test_no_two_names_share_a_file(names: list[str]) -> None:
    made = unique_slugs(names)
    assert set(made) == set(names)
    assert len({part.lower() for part in made.values()}) == len(set(names))
    for part in made.values():
        assert re.fullmatch(r"[A-Za-z0-9_@~.-]+", part)
        assert not part.startswith(".") and not part.endswith(".") and len(part) < 200


def test_names_that_differ_in_case_have_files_of_their_own() -> None:
    assert slug("Max") == "Max"
    first, second = unique_slugs(["max", "Max"]).values()
    assert first == "max" and second.startswith("Max~")
