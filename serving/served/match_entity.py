"""The rows of an entity in the log of served vectors, whose keys stand there as texts or as hashes.

A row is read by the key columns that its view had when it was logged, which the row names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson
from pyiceberg.table import Table

from feature_specs.catalog import Catalog, Column
from feature_specs.quote import literal
from serving.erase_online import entity_texts, other_keys
from serving.keys import encode_key
from serving.served.commit_spool import KEY_COLUMNS
from serving.served.served_log import hash_key


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
    """Rows of one view and one way to read their keys.

    Attributes:
        columns: the key columns; None where nothing says which.
        condition: what holds for these rows, in DuckDB's SQL.
        hashed: whether keys among them are hashes.
    """

    view: str
    columns: Sequence[Column] | None
    condition: str
    hashed: bool


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
        texts = entity_texts(rows.columns, values)
        if texts is None:
            if entry is not None and entity_texts(entry.entities, values) is not None:
                untold.append(f"{rows.view!r}: {other_keys(rows.columns)}")
            continue
        whole = len(texts) == len(rows.columns)
        parts = " and ".join(f"key[{n + 1}] = {literal(text)}" for n, text in texts.items())
        if secret is not None and whole:
            key = encode_key(texts[n] for n in range(len(texts)))
            parts = f"({parts} or key_hash = {literal(hash_key(secret, key))})"
        elif rows.hashed:
            untold.append(
                f"keys of {rows.view!r} are hashes: name all of its key columns, and their secret "
                "in the profile (`serve: {served_secret: FILE}`)"
            )
        found.append(f"{rows.condition} and {parts}")
    predicate = f"({' or '.join(f'coalesce({each}, false)' for each in found)})"
    return ServedRows(predicate, tuple(dict.fromkeys(untold)))


def _logged(table: Table, catalog: Catalog) -> Iterator[_Logged]:
    """What the log has rows of, by view and by what says which their keys are."""
    told = KEY_COLUMNS in table.schema().column_names
    wanted = ["view", "meaning", *([KEY_COLUMNS] if told else [])]
    rows = table.scan(selected_fields=(*wanted, "key_hash")).to_arrow()
    counted = rows.group_by(wanted).aggregate([("key_hash", "count")])
    for kind in sorted(counted.to_pylist(), key=str):
        view, meaning, text = kind["view"], kind["meaning"], kind.get(KEY_COLUMNS)
        condition = f"view = {literal(view)} and meaning = {literal(meaning)}"
        columns: Sequence[Column] | None = None
        if text is not None:
            condition += f" and {KEY_COLUMNS} = {literal(text)}"
            columns = [Column(*each) for each in orjson.loads(text)]
        else:
            condition += f" and {KEY_COLUMNS} is null" if told else ""
            entry = catalog.readable.get(view)
            if entry is not None and entry.definition_hash == meaning:
                columns = entry.entities
        yield _Logged(view, columns, condition, kind["key_hash_count"] > 0)
