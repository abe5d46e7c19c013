"""Erase an entity from the online store: its rows in every view whose keys include its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from feature_specs.catalog import Catalog, Column
from feature_specs.errors import DataError
from feature_specs.names import fold_name
from feature_specs.sql_types import parse_type
from serving.kept_catalog import KEPT
from serving.keys import coercer, decode_key, key_texts
from serving.state import load_state
from serving.stores import OnlineStore, StoredView, view_of


@dataclass(frozen=True)
class OnlineRows:
    """What a store holds of an entity under one name of a view.

    Attributes:
        keys: of the entity's rows.
        unknown: whether no compiled view has the name, so that nothing tells what its keys are.
    """

    view: StoredView
    keys: tuple[bytes, ...]
    unknown: bool = False


def find_online(
    store: OnlineStore, catalog: Catalog, values: Mapping[str, str]
) -> Iterator[OnlineRows]:
    """The entity's rows in each view that the store has, those of earlier meanings included."""
    for stored in store.states():
        if stored.name == KEPT.name:
            continue
        entry = catalog.views.get(view_of(stored.name))
        if entry is None:
            yield OnlineRows(stored, (), unknown=True)
            continue
        texts = entity_texts(entry.entities, values)
        if texts is None:
            continue
        view = StoredView(stored.name, entry.keys)
        if len(texts) == len(entry.keys):
            whole = tuple(texts[place] for place in range(len(texts)))
            found = [key for key, _ in store.items(view) if decode_key(key) == whole]
        else:
            found = [key for key, _ in store.items(view) if _holds(decode_key(key), texts)]
        yield OnlineRows(view, tuple(found))


def _holds(key: tuple[str, ...], texts: Mapping[int, str]) -> bool:
    return all(place < len(key) and key[place] == text for place, text in texts.items())


def entity_texts(columns: tuple[Column, ...], values: Mapping[str, str]) -> dict[int, str] | None:
    """By place in the view's key, the text of each of the entity's values; None where it lacks one."""
    places = {fold_name(c.name): n for n, c in enumerate(columns)}
    if any(fold_name(name) not in places for name in values):
        return None
    found = {}
    for name, value in values.items():
        place = places[fold_name(name)]
        column = columns[place]
        try:
            typed = coercer(column)(_json_value(column, value))
        except DataError:
            return None  # no key of this view is that
        found[place] = key_texts([column])[0](typed)
    return found


def _json_value(column: Column, value: str) -> object:
    declared = parse_type(column.type)
    if declared.is_integer:
        return int(value) if value.lstrip("+-").isdigit() else value
    if declared.name == "BOOLEAN":
        return {"true": True, "false": False}.get(value.lower(), value)
    return value


def erase_online(store: OnlineStore, rows: OnlineRows) -> None:
    """Remove the rows.

    Raises:
        OvertakenError: a sync wrote meanwhile.
    """
    raw = store.get_state(rows.view)
    if not rows.keys or raw is None:
        return
    state = load_state(raw)
    after = raw if state is None else replace(state, rows=state.rows - len(rows.keys)).dumps()
    store.write(rows.view, (), rows.keys, after, replace=False, after=raw)
