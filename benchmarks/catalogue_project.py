"""A compiled project of many features, as catalog.json and catalogue.json have it, without dbt."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from feature_specs.access import ViewAccess
from feature_specs.catalog import Catalog, Column, Feature, LeafEntry, ServiceEntry, ViewEntry
from feature_specs.catalogue_facts import (
    FACTS,
    CatalogueFacts,
    Consumer,
    FeatureFacts,
    GroupFacts,
    Reach,
    ServiceFacts,
    SourceFacts,
    ViewFacts,
)

_ENTITIES = [
    "customer",
    "card",
    "merchant",
    "device",
    "account",
    "session",
    "order",
    "courier",
    "store",
    "product",
]
_EVENTS = [
    "payments",
    "refunds",
    "logins",
    "visits",
    "clicks",
    "deliveries",
    "returns",
    "reviews",
    "tickets",
    "trips",
]
_MEASURES = [
    "amount",
    "delay",
    "distance",
    "price",
    "score",
    "latency",
    "quantity",
    "discount",
    "fee",
    "rating",
]
_COUNTS = ["count", "sum", "mean", "max", "min", "stddev", "share", "distinct", "last", "first"]
_WINDOWS = ["1h", "6h", "24h", "7d", "30d"]
_TAGS = ["fraud", "pricing", "ranking", "churn", "logistics", "pii", "experimental", "gold"]
_WORDS = [
    "how",
    "many",
    "much",
    "late",
    "often",
    "seen",
    "before",
    "after",
    "weekend",
    "abroad",
    "unusual",
    "new",
]


def make_project(
    views: int = 500, features: int = 20, services: int = 200, groups: int = 50
) -> tuple[Catalog, CatalogueFacts]:
    """The same project for the same arguments."""
    draw = random.Random(17)
    owners = [f"team{n:02}@example.com" for n in range(groups)]
    leaves = {}
    for event in _EVENTS:
        columns = {f"{m}_{k}": "DOUBLE" for m in _MEASURES for k in ("net", "gross")}
        relation = f'"shop"."raw"."{event}"'
        leaves[relation] = LeafEntry(
            relation,
            relation,
            f"raw.{event}",
            "event",
            times={"event_time": "happened_at"},
            columns={"happened_at": "TIMESTAMP WITH TIME ZONE", **columns},
        )
    made: dict[str, ViewEntry] = {}
    facts: dict[str, ViewFacts] = {}
    access: dict[str, ViewAccess] = {}
    for number in range(views):
        entity, event = draw.choice(_ENTITIES), draw.choice(_EVENTS)
        name = f"{entity}_{event}_{number:03}"
        named: dict[str, FeatureFacts] = {}
        kinds = {}
        while len(named) < features:
            measure, kind, window = (draw.choice(x) for x in (_MEASURES, _COUNTS, _WINDOWS))
            feature = f"{kind}_{measure}_{window}"
            source = Reach(f'"shop"."raw"."{event}"', f"{measure}_net", ("AGGREGATION",))
            named[feature] = FeatureFacts(
                f'{kind.upper()}("{event}"."{measure}_net")',
                (draw.choice(_TAGS),) if draw.random() < 0.3 else (),
                (source,),
            )
            kinds[feature] = draw.choice(("DOUBLE", "BIGINT", "INTEGER", "VARCHAR"))
        group = draw.randrange(groups)
        relation = f'"shop"."raw"."{event}"'
        made[name] = ViewEntry.of(
            name,
            f"main.{name}",
            semantic_hash=f"hash{number}",
            definition_hash=f"hash{number}",
            entities=(Column(f"{entity}_id", "BIGINT"),),
            stored=tuple(Column(f, kinds[f]) for f in named),
            features=tuple(
                Feature(
                    f, kinds[f], f"The {f.replace('_', ' ')}, {' '.join(draw.sample(_WORDS, 4))}."
                )
                for f in named
            ),
            leaves=(relation,),
            lowering="cumulative",
            owner=owners[group],
            description=f"What is known of a {entity} by its {event}.",
        )
        made[name] = replace(made[name], freshness_us=3_600_000_000)
        facts[name] = ViewFacts(
            f"hash{number}",
            f"select {entity}_id, ...\nfrom {{{{ source('raw', '{event}') }}}}",
            model=name,
            tags=(draw.choice(_TAGS),),
            bounds=((relation, "visible from its happened_at"),),
            features=named,
        )
        access[name] = ViewAccess(
            draw.choice(("public", "protected", "private")), f"group_{group:02}", owners[group]
        )
    catalog = Catalog(
        project="shop",
        lake={"name": "shop", "type": "sql"},
        online="lmdb:///nowhere",
        leaves=leaves,
        views=made,
        services=dict(_services(draw, made, services)),
        access=access,
        groups=tuple(f"group_{n:02}" for n in range(groups)),
    )
    return catalog, CatalogueFacts(
        views=facts,
        services={name: ServiceFacts(maturity="high") for name in catalog.services},
        sources={name: SourceFacts("Raw events.") for name in leaves},
        groups={f"group_{n:02}": GroupFacts("A team.", owner) for n, owner in enumerate(owners)},
        consumers=tuple(
            Consumer(f"{name}_labels", "training set", reads=(), services=(name,))
            for name in catalog.services
        ),
    )


def write_project(folder: Path, catalog: Catalog, facts: CatalogueFacts) -> Path:
    """catalog.json and what stands beside it; the path of the former."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "catalog.json"
    path.write_text(catalog.dumps())
    (folder / FACTS).write_text(facts.dumps())
    return path


def _services(
    draw: random.Random, views: dict[str, ViewEntry], count: int
) -> list[tuple[str, ServiceEntry]]:
    made = []
    for number in range(count):
        read = draw.sample(sorted(views), 5)
        features = tuple((v, f.name) for v in read for f in views[v].features[:6])
        name = f"model_{number:03}"
        made.append((name, ServiceEntry(name, features, "ml@example.com", "Scores something.")))
    return made
