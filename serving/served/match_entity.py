"""The rows of an entity in the log of served vectors, whose keys stand there as texts or as hashes."""

from __future__ import annotations

from collections.abc import Mapping

from pyiceberg.table import Table

from feature_specs.catalog import Catalog
from feature_specs.quote import literal
from serving.erase_online import entity_texts
from serving.keys import encode_key
from serving.served.served_log import hash_key


def served_predicate(catalog: Catalog, values: Mapping[str, str], secret: bytes | None) -> str:
    """What holds, in DuckDB's SQL, for the entity's rows of every view that has its key columns.

    Args:
        values: by key column, as `forebay erase` is given them.
        secret: that keys were hashed under.
    """
    found = ["false"]
    for name, entry in catalog.readable.items():
        texts = entity_texts(entry.entities, values)
        if texts is None:
            continue
        parts = " and ".join(f"key[{n + 1}] = {literal(text)}" for n, text in texts.items())
        if secret is not None and len(texts) == len(entry.entities):
            key = encode_key(texts[n] for n in range(len(texts)))
            parts = f"({parts} or key_hash = {literal(hash_key(secret, key))})"
        found.append(f"view = {literal(name)} and {parts}")
    return f"({' or '.join(f'coalesce({each}, false)' for each in found)})"


def cannot_tell(
    table: Table, catalog: Catalog, values: Mapping[str, str], secret: bool
) -> list[str]:
    """Why rows of the log may be the entity's without being told as such; mostly nothing.

    Args:
        secret: whether the one that keys were hashed under is known.
    """
    rows = table.scan(selected_fields=("view", "key_hash")).to_arrow()
    views = set(rows["view"].unique().to_pylist())
    why = [
        f"no view of this project is called {name!r} any more"
        for name in sorted(views - set(catalog.readable))
    ]
    hashed = rows.filter(rows["key_hash"].is_valid())
    for name in sorted(set(hashed["view"].unique().to_pylist()) & set(catalog.readable)):
        entities = catalog.readable[name].entities
        texts = entity_texts(entities, values)
        if texts is not None and not (secret and len(texts) == len(entities)):
            why.append(
                f"keys of {name!r} are hashes: name all of its key columns, and their secret in the "
                "profile (`serve: {served_secret: FILE}`)"
            )
    return why
