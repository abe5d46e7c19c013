"""Full-text search over features: ranked, forgiving of typos, and quick as people type.

Every word of a feature's name, view, entity, tags, source columns, owner, group and description is in
one vocabulary. A word of a query stands for the vocabulary's words that it equals, begins or is part
of, and where there is none for those a slip of the finger away. `catalogue.js` ranks a static site's
features by the same rules, and a test holds the two together; all scores are whole numbers for that.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence

from serving.catalogue.directory import Item

#: What a word counts by where it stands. A whole name counts twice its parts.
NAME, VIEW, TAG, ENTITY, SOURCE, OWNER, TEXT = 12, 6, 6, 5, 4, 3, 3
#: How well a word of a query stands for one of the vocabulary.
EXACT, BEGINS, INSIDE, ONE_SLIP, TWO_SLIPS = 8, 5, 2, 2, 1

#: Words of a query that count, and the length to which they are read.
_WORDS, _LETTERS = 8, 40
#: The least length of a query's word that is looked for inside of others, and with slips.
_INSIDE_FROM, _SLIP_FROM, _TWO_SLIPS_FROM = 3, 4, 8

_PARTS = re.compile(r"[^\W_]+")
_SEPARATORS = re.compile(r"[:.@/]|__")


class Index:
    """The words of features, numbered in the order given."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._names = sorted({name for item in items if (name := fold(item.feature.name).strip())})
        self._order = [(len(item.feature.name), item.reference) for item in items]
        postings: dict[str, dict[int, int]] = defaultdict(dict)
        texts: dict[str, tuple[str, ...]] = {}
        for number, item in enumerate(items):
            for weight, text, whole in _fields(item):
                key = text if whole else "\0" + text
                words = texts.get(key)
                if words is None:
                    words = texts[key] = tuple(_words(text, whole))
                for position, word in enumerate(words):
                    counts = weight * 2 if whole and position == 0 else weight
                    known = postings[word]
                    if known.get(number, 0) < counts:
                        known[number] = counts
        self.vocabulary = sorted(postings)
        self._numbers = [array("I", postings[word].keys()) for word in self.vocabulary]
        self._weights = [array("B", postings[word].values()) for word in self.vocabulary]
        self._place = {word: i for i, word in enumerate(self.vocabulary)}
        self._letters = [_letters(word) for word in self.vocabulary]
        self._by_first: dict[str, list[int]] = defaultdict(list)
        for i, word in enumerate(self.vocabulary):
            self._by_first[word[0]].append(i)

    def search(self, query: str) -> list[int]:
        """The numbers of the features that a query finds, the best first.

        Those in which most of its words occur: all of them, if any has all.
        """
        scores: dict[int, int] = {}
        matched: dict[int, int] = {}
        for word in self.words(query):
            found = self._score(word)
            for number, score in found.items():
                scores[number] = scores.get(number, 0) + score
                matched[number] = matched.get(number, 0) + 1
        if not scores:
            return []
        most = max(matched.values())
        best = [number for number, count in matched.items() if count == most]
        order = self._order
        best.sort(key=lambda number: (-scores[number], *order[number]))
        return best

    def words(self, query: str) -> list[str]:
        """The words of a query that are looked for, each once."""
        words: list[str] = []
        for word in fold(query).split():
            if word in self._place:
                words.append(word)
            else:
                words += [part for part in _SEPARATORS.split(word) if part.strip("_")]
        return list(dict.fromkeys(word[:_LETTERS] for word in words))[:_WORDS]

    def _score(self, word: str) -> dict[int, int]:
        """What each feature in which a word of a query occurs counts for it."""
        best: dict[int, int] = {}
        for place, quality in self._alike(word):
            numbers, weights = self._numbers[place], self._weights[place]
            for number, weight in zip(numbers, weights, strict=True):
                score = weight * quality
                if best.get(number, 0) < score:
                    best[number] = score
        return best

    def _alike(self, word: str) -> list[tuple[int, int]]:
        """The places in the vocabulary that a word of a query stands for, and how well."""
        found = []
        if len(word) < 2:
            exact = self._place.get(word)
            found = [] if exact is None else [(exact, EXACT)]
            return found + [(i, BEGINS) for i in self._names_that_begin(word) if i != exact]
        for place, known in enumerate(self.vocabulary):
            if word in known and (known.startswith(word) or len(word) >= _INSIDE_FROM):
                quality = BEGINS if known.startswith(word) else INSIDE
                found.append((place, EXACT if known == word else quality))
        return found or self._slips(word)

    def _names_that_begin(self, letter: str) -> Iterable[int]:
        """Of one letter, only names: it begins a tenth of all words."""
        return [self._place[name] for name in self._names if name.startswith(letter)]

    def _slips(self, word: str) -> list[tuple[int, int]]:
        """The places of words that begin as the given one does, but for one slip or two.

        The first letter is right, or one of the first two is: few slip there, and it keeps the number
        of words small that are compared letter by letter.
        """
        if len(word) < _SLIP_FROM:
            return []
        allowed = 2 if len(word) >= _TWO_SLIPS_FROM else 1
        letters = _letters(word)
        near: list[tuple[int, int]] = []
        for first in dict.fromkeys(word[:2]):
            for place in self._by_first.get(first, ()):
                # Each slip brings in at most one letter that the other word does not have.
                if (letters & ~self._letters[place]).bit_count() <= allowed:
                    slips = slips_to(word, self.vocabulary[place], allowed)
                    if slips <= allowed:
                        near.append((place, slips))
        fewest = min((slips for _, slips in near), default=0)
        quality = ONE_SLIP if fewest == 1 else TWO_SLIPS
        return sorted((place, quality) for place, slips in near if slips == fewest)


def fold(text: str) -> str:
    """A text as it is compared: lower case, without accents.

    >>> fold("Ärger")
    'arger'
    """
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text.lower())
    return "".join(c for c in plain if not unicodedata.combining(c))


def slips_to(word: str, known: str, most: int) -> int:
    """The least number of slips that make a word of a beginning of another, or ``most`` and one.

    A slip leaves a letter out, adds or changes one, or changes places of two that are side by side.

    >>> slips_to("carreir", "carrier_arrivals", 2), slips_to("dealy", "delay", 1)
    (1, 1)
    """
    known = known[: len(word) + most]
    before: list[int] = []
    row = list(range(len(known) + 1))
    for i, letter in enumerate(word, 1):
        earlier, before, row = before, row, [i]
        for j, other in enumerate(known, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == known[j - 2] and word[i - 2] == other:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(min(row), most + 1)


def _fields(item: Item) -> Iterable[tuple[int, str, bool]]:
    """Weight and text of all that a feature is found by, and whether the text is a name."""
    yield NAME, item.feature.name, True
    yield VIEW, item.view.name, True
    for column in item.view.entities:
        yield ENTITY, column.name, True
    for tag in item.tags:
        yield TAG, tag, True
    for source in (*item.sources, *item.leaves):
        yield SOURCE, source, True
    yield OWNER, item.view.owner, True
    yield OWNER, item.access.group, True
    yield TEXT, item.feature.description, False
    yield TEXT, item.feature.type, False


def _words(text: str, whole: bool) -> Iterable[str]:
    folded = fold(text)
    if whole and folded.strip():
        yield folded.strip()
    yield from (part for part in _PARTS.findall(folded) if not (whole and part == folded))


def _letters(word: str) -> int:
    """The set of its letters, as bits; some share one, which only makes the sets larger."""
    bits = 0
    for letter in word:
        bits |= 1 << (ord(letter) % 61)
    return bits
