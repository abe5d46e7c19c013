"""Erase an entity from the online store: its rows in every view whose keys include its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from feature_specs.catalog import Catalog, Column, ViewEntry
from feature_specs.errors import DataError
from feature_specs.names import fold_name
from feature_specs.sql_types import parse_type
from serving.kept_catalog import KEPT, kept_catalog
from serving.keys import coercer, decode_key, key_texts
from serving.state import ViewState, load_state
from serving.stores import OnlineStore, StoredView, view_of

_NO_VIEW = "no view of this project has that name: erase it where it is compiled"
_NO_KEYS = (
    "rows of an earlier definition, and nothing says by which keys: a day after `forebay sync` has "
    "written the present one, the next `forebay sync` removes them"
)


@dataclass(frozen=True)
class OnlineRows:
    """What a store holds of an entity under one name of a view.

    Attributes:
        keys: of the entity's rows.
        unknown: why nothing tells which rows are the entity's; empty where that is known.
    """

    view: StoredView
    keys: tuple[bytes, ...]
    unknown: str = ""


def find_online(
    store: OnlineStore, catalog: Catalog, values: Mapping[str, str]
) -> Iterator[OnlineRows]:
    """The entity's rows in each view that the store has, those of earlier meanings included."""
    kept = kept_catalog(store, catalog.project)
    for stored, raw in store.states().items():
        if stored.name == KEPT.name:
            continue
        entry = catalog.views.get(view_of(stored.name))
        columns = None if entry is None else _columns(entry, stored, load_state(raw), kept)
        if entry is None or columns is None:
            yield OnlineRows(stored, (), unknown=_NO_VIEW if entry is None else _NO_KEYS)
            continue
        texts = entity_texts(columns, values)
        if texts is None:
            if entity_texts(entry.entities, values) is not None:
                yield OnlineRows(stored, (), unknown=other_keys(columns))
            continue
        view = StoredView(stored.name, tuple(column.name for column in columns))
        if len(texts) == len(columns):
            whole = tuple(texts[place] for place in range(len(texts)))
            found = [key for key, _ in store.items(view) if decode_key(key) == whole]
        else:
            found = [key for key, _ in store.items(view) if _holds(decode_key(key), texts)]
        yield OnlineRows(view, tuple(found))


def _columns(
    entry: ViewEntry, stored: StoredView, state: ViewState | None, kept: Catalog | None
) -> Sequence[Column] | None:
    """The key columns of what is stored, whose meaning need not be today's; None where nothing says."""
    before = None if kept is None else kept.views.get(entry.name)
    for view in (entry, before):
        if view is not None and StoredView.of(view).name == stored.name:
            return view.entities
    return None if state is None else state.key_columns


def other_keys(columns: Sequence[Column]) -> str:
    """Why rows may be an entity's that were written while the view had other keys."""
    names = ", ".join(f"{column.name} {column.type}" for column in columns)
    return f"rows of an earlier definition have the keys {names}: erase by these too"


def _holds(key: tuple[str, ...], texts: Mapping[int, str]) -> bool:
    return all(place < len(key) and key[place] == text for place, text in texts.items())


def entity_texts(columns: Sequence[Column], values: Mapping[str, str]) -> dict[int, str] | None:
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
