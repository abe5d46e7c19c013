"""Which online rows are an entity's: by whole keys, and by keys that hold its own."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from feature_specs.catalog import Catalog, Column, Feature, ViewEntry
from serving.erase_online import erase_online, find_online
from serving.kept_catalog import keep_catalog
from serving.keys import encode_key
from serving.state import ViewState, keys_of, load_state
from serving.stores import OnlineStore, StoredView, open_store
from serving.sync.meanings import retire_earlier

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


def view(keys: str, semantic_hash: str) -> ViewEntry:
    """A view called trips whose key columns are named, each a text."""
    return ViewEntry.of(
        "trips", "main.trips", semantic_hash=semantic_hash,
        entities=[Column(key, "VARCHAR") for key in keys.split()],
        stored=[Column("n", "BIGINT")], features=[Feature("n", "BIGINT")],
    )  # fmt: skip


#: Keyed the other way round by the earlier meaning: read by today's keys, JFK to LAX is LAX to JFK.
BEFORE, TODAY = view("origin dest", "h1"), view("dest origin", "h2")
TRIP, BACK = encode_key(["JFK", "LAX"]), encode_key(["LAX", "JFK"])


def write(store: OnlineStore, entry: ViewEntry, rows: list[bytes], *, keys: bool) -> None:
    state = ViewState(1, entry.semantic_hash, len(rows), keys=keys_of(entry) if keys else None)
    store.write(StoredView.of(entry), [(k, b"r") for k in rows], (), state.dumps(), replace=True)


def left(store: OnlineStore, entry: ViewEntry) -> list[bytes]:
    return sorted(key for key, _ in store.items(StoredView.of(entry)))


def erase_all(store: OnlineStore, today: ViewEntry, values: dict[str, str]) -> list[str]:
    """What cannot be told, once the entity is erased."""
    catalog = Catalog("p", {}, "", views={"trips": today})
    found = list(find_online(store, catalog, values))
    for rows in found:
        if not rows.unknown:
            erase_online(store, rows)
    return [rows.unknown for rows in found if rows.unknown]


def test_rows_of_an_earlier_meaning_are_read_by_its_own_keys(tmp_path: Path) -> None:
    with closing(open_store(f"lmdb://{tmp_path}/online")) as store:
        write(store, BEFORE, [TRIP, BACK], keys=True)
        write(store, TODAY, [TRIP, BACK], keys=True)
        assert erase_all(store, TODAY, {"origin": "JFK", "dest": "LAX"}) == []
        # JFK comes first in the earlier meaning, and last in today's.
        assert (left(store, BEFORE), left(store, TODAY)) == ([BACK], [TRIP])


def test_rows_whose_keys_nothing_tells_are_not_said_to_be_gone(tmp_path: Path) -> None:
    with closing(open_store(f"lmdb://{tmp_path}/online")) as store:
        write(store, BEFORE, [TRIP, BACK], keys=False)
        (why,) = erase_all(store, TODAY, {"origin": "JFK"})
        assert "nothing says by which keys" in why
        assert left(store, BEFORE) == [TRIP, BACK]
        # A catalog that is kept beside them says it.
        keep_catalog(store, Catalog("p", {}, "", views={"trips": BEFORE}))
        assert erase_all(store, TODAY, {"origin": "JFK", "dest": "LAX"}) == []
        assert left(store, BEFORE) == [BACK]


def test_an_earlier_meaning_without_the_key_is_told(tmp_path: Path) -> None:
    with closing(open_store(f"lmdb://{tmp_path}/online")) as store:
        write(store, view("airport", "h0"), [b"JFK"], keys=True)
        (why,) = erase_all(store, TODAY, {"origin": "JFK"})
        assert "have the keys airport VARCHAR" in why
        assert erase_all(store, TODAY, {"plane": "N1"}) == []


def test_a_sync_tells_the_keys_of_rows_that_an_earlier_version_wrote(tmp_path: Path) -> None:
    with closing(open_store(f"lmdb://{tmp_path}/online")) as store:
        write(store, BEFORE, [TRIP], keys=False)
        retire_earlier(store, [BEFORE])
        write(store, TODAY, [BACK], keys=True)
        retire_earlier(store, [TODAY])
        assert erase_all(store, TODAY, {"origin": "JFK", "dest": "LAX"}) == []
        assert (left(store, BEFORE), left(store, TODAY)) == ([], [])
