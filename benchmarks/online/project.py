"""A catalog of feature views, and a store with rows of the views that are asked."""

from __future__ import annotations

import random
from pathlib import Path

from feature_specs.catalog import Catalog, Column, Feature, ServiceEntry, ViewEntry
from serving.keys import encode_key
from serving.state import ViewState
from serving.stores import StoredView, open_store
from tests.serving.stored_rows import encode_row

#: The service that is asked: 100 features of 10 views.
SERVICE = "all_100"
VIEWS, FEATURES, ENTITIES = 10, 10, 1_000
#: 2026-01-01, in microseconds since the epoch; event times lie in the day before.
AT = 1_767_225_600_000_000
_DAY_US = 86_400_000_000


def make_view(name: str) -> ViewEntry:
    """A history view of users with ten doubles."""
    columns = tuple(Column(f"feature_{i}", "DOUBLE") for i in range(FEATURES))
    return ViewEntry.of(
        name,
        f"features.{name}",
        semantic_hash=f"hash of {name}",
        entities=(Column("user_id", "BIGINT"),),
        stored=columns,
        features=tuple(Feature(c.name, c.type) for c in columns),
        event_time="seen_at",
        lowering="latest",
    )


def make_catalog(folder: Path, features: int) -> Catalog:
    """A catalog of that many features, ten a view; all of them share one store."""
    views = [make_view(f"view_{i}") for i in range(features // FEATURES)]
    asked = [(v.name, f.name) for v in views[:VIEWS] for f in v.features]
    return Catalog(
        project="bench",
        views={view.name: view for view in views},
        services={SERVICE: ServiceEntry(SERVICE, tuple(asked))},
        lake={},
        online=f"lmdb://{folder}/online.lmdb",
        now="2026-01-01T00:00:00Z",
    )


def value(entity: int, view: int, feature: int) -> float:
    """The value of a feature; no two are alike, so that an answer shows whose it is."""
    return random.Random(f"{entity} {view} {feature}").random()


def fill(catalog: Catalog) -> None:
    """Write the rows of the asked views."""
    store = open_store(catalog.online)
    draw = random.Random(7)
    for i in range(VIEWS):
        view = catalog.views[f"view_{i}"]
        rows = (
            (
                encode_key([str(user)]),
                encode_row(
                    AT - draw.randrange(_DAY_US // 1_000_000) * 1_000_000,
                    [repr(value(user, i, n)) for n in range(FEATURES)],
                ),
            )
            for user in range(ENTITIES)
        )
        state = ViewState(AT, view.semantic_hash, ENTITIES)
        store.write(StoredView.of(view), rows, (), state.dumps(), replace=True)
    store.close()
