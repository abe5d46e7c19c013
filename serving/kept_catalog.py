"""The catalog that an online store's rows were written by, kept in the store beside them.

A server that starts after a project was compiled anew, and before it is synced, finds here what the
rows mean that are there, and answers by that.
"""

from __future__ import annotations

import zlib

from feature_specs.catalog import Catalog, ViewEntry, parse_catalog
from feature_specs.errors import ForebayError
from serving.lookup.held import Held
from serving.lookup.merge import merge
from serving.stores import OnlineStore, StoredView

#: Where it is kept, a row a project. No view's name has such a character.
KEPT = StoredView("@catalog", ("project",))


def keep_catalog(store: OnlineStore, catalog: Catalog) -> None:
    """Keep the catalog; views whose rows are not there yet as they were kept before."""
    raw = _read(store, catalog.project)
    before = _parse(raw)
    held = Held.of(store)
    merged = merge(before or catalog, catalog, held.ready, held.readable).catalog
    # What answers depend on, and nothing that says how to reach the lake.
    kept = Catalog(
        merged.project,
        {},
        merged.online,
        merged.now,
        views=merged.views,
        services=merged.services,
        roles=merged.roles,
    )
    made = zlib.compress(kept.dumps().encode())
    if made != raw:
        key = catalog.project.encode()
        store.write(KEPT, [(key, made)], (), b"kept", replace=False)


def kept_catalog(store: OnlineStore, project: str) -> Catalog | None:
    """The catalog that the project's rows were written by; None where none is kept, or one of
    another version of forebay."""
    return _parse(_read(store, project))


def refuse_other_projects(store: OnlineStore, catalog: Catalog, view: ViewEntry) -> None:
    """Refuse to write rows under a name that is another project's view's in this store.

    Raises:
        ForebayError: another project's servers read rows by that name.
    """
    for key, raw in store.items(KEPT):
        project = key.decode()
        other = None if project == catalog.project else _parse(raw)
        there = None if other is None else other.views.get(view.name)
        if there is not None and there.unique_id != view.unique_id:
            raise ForebayError(
                f"the online store has rows of another feature view {view.name!r}, of project "
                f"{project!r}",
                where=view.file,
                hint="rename one of them, or give this project an online store of its own",
            )


def _read(store: OnlineStore, project: str) -> bytes | None:
    return store.get_many({KEPT: [project.encode()]})[KEPT.name].rows[0]


def _parse(raw: bytes | None) -> Catalog | None:
    if raw is None:
        return None
    try:
        return parse_catalog(zlib.decompress(raw).decode(), KEPT.name)
    except (ForebayError, zlib.error):
        return None
