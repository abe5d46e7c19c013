"""The rows of an entity in the log of served vectors, whose keys stand there as texts or as hashes.

A row is read by the key columns that its view had when it was logged, which the row names; a role's
also by the names that the view behind it gives them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson
from pyiceberg.table import Table

from feature_specs.catalog import Catalog, Column, ViewEntry
from feature_specs.names import fold_name
from feature_specs.quote import literal
from serving.erase_online import entity_texts, other_keys
from serving.keys import encode_key
from serving.served.commit_spool import KEY_COLUMNS, KEY_SECRET
from serving.served.served_log import fingerprint, hash_key


@dataclass(frozen=True)
class ServedRows:
    """How an entity's rows are found in the log.

    Attributes:
        predicate: what holds for its rows, in DuckDB's SQL.
        untold: why rows of the log may be the entity's without being told as such; mostly nothing.
    """

    predicate: str
    untold: tuple[str, ...]


@dataclass(frozen=True)
class _Logged:
    """Rows of one view or role that tell their keys in one way.

    Attributes:
        columns: the key columns; None where nothing says which.
        condition: what holds for these rows, in DuckDB's SQL.
        hashed: whether keys among them are hashes; secret: the fingerprint of what they were hashed
            under, None where an earlier version of forebay logged them.
    """

    view: str
    meaning: str
    columns: Sequence[Column] | None
    condition: str
    hashed: bool
    secret: str | None


def match_served(
    table: Table, catalog: Catalog, values: Mapping[str, str], secret: bytes | None
) -> ServedRows:
    """Find out how an entity's rows are told in the log.

    Args:
        values: by key column, as `forebay erase` is given them.
        secret: that keys were hashed under; None where it is not known.
    """
    found, untold = ["false"], []
    for rows in _logged(table, catalog):
        entry = catalog.readable.get(rows.view)
        if rows.columns is None:
            untold.append(
                f"rows of {rows.view!r} are of a definition that this project does not have any more, "
                "and an earlier version of forebay logged them, without the names of their keys"
            )
            continue
        read = _read(rows.columns, _own_names(rows, catalog), values)
        if read is None:
            if entry is None:
                untold.append(
                    f"{rows.view!r} is not a view or role of this project (any more): "
                    f"{other_keys(rows.columns)}"
                )
            elif any(entity_texts(each, values) is not None for each in _keys(entry, catalog)):
                untold.append(f"{rows.view!r}: {other_keys(rows.columns)}")
            continue
        whole = len(read) == len(rows.columns)
        parts = " and ".join(f"key[{n + 1}] = {literal(text)}" for n, text in read.items())
        if secret is not None and whole:
            key = encode_key(read[n] for n in range(len(read)))
            parts = f"({parts} or key_hash = {literal(hash_key(secret, key))})"
        if rows.hashed:
            untold += _hidden(rows, secret, whole)
        found.append(f"{rows.condition} and {parts}")
    predicate = f"({' or '.join(f'coalesce({each}, false)' for each in found)})"
    return ServedRows(predicate, tuple(dict.fromkeys(untold)))


def _hidden(rows: _Logged, secret: bytes | None, whole: bool) -> list[str]:
    """Why hashes of keys among the rows may be the entity's."""
    if secret is None or not whole:
        return [
            f"keys of {rows.view!r} are hashes: name all of its key columns, and their secret "
            "in the profile (`serve: {served_secret: FILE}`)"
        ]
    if rows.secret == fingerprint(secret):
        return []
    under = (
        "nothing says under which secret, for an earlier version of forebay logged them"
        if rows.secret is None
        else f"under another secret than the profile's, of fingerprint {rows.secret}"
    )
    return [
        f"keys of {rows.view!r} are hashed, {under}: erase with `served_secret` of then as well, or "
        f"drop the log"
    ]


def _read(
    columns: Sequence[Column], own: Sequence[Column], values: Mapping[str, str]
) -> dict[int, str] | None:
    """The entity's texts by place, by the names that were logged or else by the view's own."""
    texts = entity_texts(columns, values)
    return entity_texts(own, values) if texts is None else texts


def _own_names(rows: _Logged, catalog: Catalog) -> Sequence[Column]:
    """The key columns of a role's rows, named as in the view behind it."""
    columns, role = rows.columns or (), catalog.roles.get(rows.view)
    behind = catalog.views.get(catalog.view_behind(rows.view))
    if role is None or behind is None or behind.name == rows.view:
        return columns
    if behind.definition_hash == rows.meaning and len(behind.entities) == len(columns):
        names = [column.name for column in behind.entities]
    else:
        # Keys of an earlier definition may stand elsewhere: the role says what it calls each.
        named = {fold_name(there): own for own, there in role.keys.items()}
        names = [named.get(fold_name(column.name), column.name) for column in columns]
    return [replace(c, name=name) for c, name in zip(columns, names, strict=True)]


def _keys(entry: ViewEntry, catalog: Catalog) -> Iterator[Sequence[Column]]:
    """The key columns of a view or role of now, of a role also by the view's own names."""
    yield entry.entities
    yield catalog.views[catalog.view_behind(entry.name)].entities


def _logged(table: Table, catalog: Catalog) -> Iterator[_Logged]:
    """What the log has rows of, by view and by what says which their keys are."""
    held = table.schema().column_names
    told = [name for name in (KEY_COLUMNS, KEY_SECRET) if name in held]
    wanted = ["view", "meaning", *told]
    rows = table.scan(selected_fields=(*wanted, "key_hash")).to_arrow()
    counted = rows.group_by(wanted).aggregate([("key_hash", "count")])
    for kind in sorted(counted.to_pylist(), key=str):
        view, meaning, text = kind["view"], kind["meaning"], kind.get(KEY_COLUMNS)
        condition = f"view = {literal(view)} and meaning = {literal(meaning)}"
        for name in told:
            is_it = "is null" if kind[name] is None else f"= {literal(kind[name])}"
            condition += f" and {name} {is_it}"
        columns: Sequence[Column] | None = None
        if text is not None:
            columns = [Column(*each) for each in orjson.loads(text)]
        else:
            entry = catalog.readable.get(view)
            if entry is not None and entry.definition_hash == meaning:
                columns = entry.entities
        hashed = kind["key_hash_count"] > 0
        yield _Logged(view, meaning, columns, condition, hashed, kind.get(KEY_SECRET))
