"""Which online rows are an entity's: by whole keys, and by keys that hold its own."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from feature_specs.catalog import Catalog, Column, Feature, ViewEntry
from serving.erase_online import erase_online, find_online
from serving.keys import encode_key
from serving.state import ViewState, load_state
from serving.stores import StoredView, open_store

#: Views by their keys; in the second the entity is one of two, in the last it is another type.
KEYS = {
    "own": (Column("Customer", "VARCHAR"),),
    "pair": (Column("merchant", "BIGINT"), Column("customer", "VARCHAR")),
    "merchants": (Column("merchant", "BIGINT"),),
    "numbers": (Column("customer", "BIGINT"),),
}
ROWS: dict[str, list[tuple[str, ...]]] = {
    "own": [("zoe",), ("zo",), ("zoe\0",)],
    "pair": [("1", "zoe"), ("2", "zoe"), ("2", "adam"), ("3", "1\0zoe")],
    "merchants": [("1",)],
    "numbers": [("7",)],
}


def test_rows_of_the_entity_and_no_others(tmp_path: Path) -> None:
    views = {
        name: ViewEntry.of(
            name, f"main.{name}", semantic_hash="h", entities=keys,
            stored=[Column("n", "BIGINT")], features=[Feature("n", "BIGINT")],
        )
        for name, keys in KEYS.items()
    }  # fmt: skip
    catalog = Catalog("p", {}, "", views=views)
    with closing(open_store(f"lmdb://{tmp_path}/online")) as store:
        for name, view in views.items():
            state = ViewState(1, "h", len(ROWS[name])).dumps()
            rows = [(encode_key(key), b"row") for key in ROWS[name]]
            store.write(StoredView.of(view), rows, (), state, replace=True)
        store.write(StoredView("other@1", ("x",)), [(b"zoe", b"row")], (), b"{}", replace=True)
        found = {
            r.view.name.partition("@")[0]: r
            for r in find_online(store, catalog, {"customer": "zoe"})
        }
        assert {n: len(r.keys) for n, r in found.items() if not r.unknown} == {
            "own": 1,
            "pair": 2,
        }
        assert [n for n, r in found.items() if r.unknown] == ["other"]
        for rows_found in found.values():
            if not rows_found.unknown:
                erase_online(store, rows_found)
        left = {
            name: sorted(key for key, _ in store.items(StoredView.of(view)))
            for name, view in views.items()
        }
        gone: dict[str, set[tuple[str, ...]]] = {
            "own": {("zoe",)},
            "pair": {("1", "zoe"), ("2", "zoe")},
        }
        assert left == {
            name: sorted(encode_key(k) for k in keys if k not in gone.get(name, ()))
            for name, keys in ROWS.items()
        }
        after = load_state(store.get_state(StoredView.of(views["pair"])))
        assert after is not None and after.rows == 2
