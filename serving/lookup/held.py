"""Which meanings of which views an online store has rows of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from feature_specs.catalog import ViewEntry
from feature_specs.errors import ForebayError
from serving.lookup.views import ReadyView
from serving.state import load_state
from serving.stores import OnlineStore, StoredView


@dataclass(frozen=True)
class Held:
    """What a store had at one moment, by the names of `StoredView`.

    Attributes:
        stored: all that it has rows of; present: those that no later meaning has retired.
    """

    stored: frozenset[str]
    present: frozenset[str]

    @classmethod
    def of(cls, store: OnlineStore) -> Self:
        loaded = {view.name: load_state(raw) for view, raw in store.states().items()}
        known = {name: state for name, state in loaded.items() if state is not None}
        present = (name for name, state in known.items() if state.retired is None)
        return cls(frozenset(known), frozenset(present))

    def ready(self, view: ViewEntry) -> bool:
        """Whether its rows are the present ones, and this version of forebay can serve it."""
        return StoredView.of(view).name in self.present and _can_be_served(view)

    def readable(self, view: ViewEntry) -> bool:
        """Whether there are rows of that meaning at all."""
        return StoredView.of(view).name in self.stored


def _can_be_served(view: ViewEntry) -> bool:
    try:
        ReadyView(view)
    except ForebayError:
        return False
    return True
