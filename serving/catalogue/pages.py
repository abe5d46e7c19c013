"""Template contexts for each kind of page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from feature_specs.catalog import LeafEntry, ServiceEntry, ViewEntry
from feature_specs.catalogue_facts import Consumer, GroupFacts, Reach
from feature_specs.counted import counted
from feature_specs.skew_figures import SkewFigures
from lineage.effects import is_direct
from serving.catalogue.directory import Directory, Item, entity_of
from serving.catalogue.graph import Graph, Node, lay_out
from serving.catalogue.live import Live
from serving.catalogue.pictures import Picture, draw
from serving.catalogue.similar import Similarity
from serving.catalogue.snippets import feature_snippets, service_snippets
from serving.catalogue.words import EFFECTS, anchor, certificate

#: Paths of lists to their titles, in the order of the navigation.
LISTS = {
    "views": "Views",
    "services": "Services",
    "entities": "Entities",
    "sources": "Sources",
    "owners": "Owners",
}


def page_context(
    directory: Directory, similarity: Similarity, kind: str, thing: Any, live: Live
) -> dict[str, Any]:
    """The context of the template of a kind of page."""
    if kind == "feature":
        return _feature(directory, similarity, thing, live)
    return _CONTEXTS[kind](directory, thing, live)


def list_context(directory: Directory, path: str, live: Live) -> dict[str, Any]:
    """The rows of a list: path, name, a line of text, a note, and an owner."""
    catalog = directory.catalog
    rows: list[tuple[str, str, str, str]] = []
    if path == "views":
        for view in catalog.views.values():
            note = f"{entity_of(view)} \N{MIDDLE DOT} {counted(len(view.features), 'feature')}"
            rows.append((directory.path("view", view.name), view.name, view.description, note))
    elif path == "services":
        for service in catalog.services.values():
            note = counted(len(service.features), "feature")
            rows.append(
                (directory.path("service", service.name), service.name, service.description, note)
            )
    elif path == "entities":
        for name, views in directory.entities.items():
            count = sum(len(view.features) for view in views)
            note = f"{counted(len(views), 'view')} \N{MIDDLE DOT} {counted(count, 'feature')}"
            rows.append((directory.path("entity", name), name, "", note))
    elif path == "sources":
        for leaf in catalog.leaves.values():
            name = directory.leaf_names[leaf.name]
            text = directory.source_facts(leaf).description
            note = counted(len(directory.views_of_leaf[leaf.name]), "view")
            rows.append((directory.path("source", name), name, text, note))
    else:
        for name in directory.owners:
            owned = [v for v in catalog.views.values() if v.owner == name]
            note = counted(len(owned), "view")
            rows.append((directory.path("owner", name), name, "", note))
    return {"title": LISTS[path], "rows": sorted(rows, key=lambda row: row[1].lower())}


def _feature(
    directory: Directory, similarity: Similarity, item: Item, live: Live
) -> dict[str, Any]:
    view, feature = item.view, item.feature
    services = directory.services_of.get((view.name, feature.name), [])
    consumers = directory.consumers_of_view(view.name)
    readable = live.may_read(view.name)
    examples = live.examples.of(feature.name) if readable else []
    return {
        "item": item,
        "services": [directory.catalog.services[name] for name in services],
        "consumers": consumers,
        "similar": similarity.like(item),
        "examples": examples,
        "picture": _picture(item, live) if readable else None,
        "skews": _skews(directory, item, live),
        "compiled": readable and _known(directory, view) and live.is_compiled(view.name),
        "snippets": feature_snippets(
            view, feature.name, services, _first_key(view, live, readable), live.place
        ),
        "graph": _feature_graph(directory, item, services),
        **_of_view(directory, view, live, readable),
    }


def _skews(directory: Directory, item: Item, live: Live) -> list[tuple[str, SkewFigures]]:
    """What was served of a feature beside training, by the view's name and its roles'."""
    catalog, found = directory.catalog, []
    for name in (item.view.name, *catalog.roles):
        known = live.skews.get(f"{name}:{item.feature.name}")
        if known is None or catalog.view_behind(name) != item.view.name:
            continue
        if known.meaning == catalog.readable[name].definition_hash:
            found.append((name, known))
    return found


def _picture(item: Item, live: Live) -> Picture | None:
    """Of values of the definition that is shown; on a static site without the values themselves."""
    shape = live.shapes.get(item.reference)
    if shape is None or shape.meaning != item.view.definition_hash:
        return None
    return draw(shape, values=bool(live.online))


def _view(directory: Directory, view: ViewEntry, live: Live) -> dict[str, Any]:
    readable = live.may_read(view.name)
    items = [directory.by_reference[view.name, f.name] for f in view.features]
    services = sorted({s for i in items for s in _services(directory, i)})
    return {
        "items": items,
        "services": [directory.catalog.services[name] for name in services],
        "consumers": directory.consumers_of_view(view.name),
        "versions": directory.versions_of(view),
        "statements": live.statements(view.name) if readable and _known(directory, view) else (),
        "graph": _view_graph(directory, view, services),
        "examples": live.examples if readable else None,
        **_of_view(directory, view, live, readable),
    }


def _of_view(directory: Directory, view: ViewEntry, live: Live, readable: bool) -> dict[str, Any]:
    """What pages of a view and of its features share."""
    facts = directory.view_facts(view)
    leaves = [
        (directory.leaf_names[name], directory.catalog.leaves[name])
        for name in view.leaves
        if name in directory.catalog.leaves
    ]
    return {
        "view": view,
        "facts": facts,
        "access": directory.access(view.name),
        "online": live.online.get(view.name),
        "readable": readable,
        "certificate": certificate(view, facts, leaves),
        "mutable": [name for name, leaf in leaves if leaf.written == "mutable"],
    }


def _service(directory: Directory, service: ServiceEntry, live: Live) -> dict[str, Any]:
    catalog = directory.catalog
    by_view: dict[str, list[tuple[str, Item | None]]] = defaultdict(list)
    for name, feature in service.features:
        item = directory.by_reference.get(directory.own_name(name, feature))
        by_view[name].append((feature, item))
    views = [catalog.readable[name] for name in by_view if name in catalog.readable]
    allowed = {name: live.may_read(catalog.view_behind(name)) for name in by_view}
    consumers = directory.consumers_of_service(service.name)
    return {
        "service": service,
        "facts": directory.service_facts(service),
        "by_view": by_view,
        "behind": {name: catalog.view_behind(name) for name in by_view},
        "allowed": allowed,
        "consumers": consumers,
        "snippets": service_snippets(service, views, {}, live.place) if views else [],
        "graph": _service_graph(directory, service, list(by_view)),
        "statuses_of": {name: live.online.get(catalog.view_behind(name)) for name in by_view},
    }


def _entity(directory: Directory, name: str, live: Live) -> dict[str, Any]:
    views = directory.entities[name]
    columns = {column.name for column in views[0].entities}
    near = [
        other
        for other, theirs in directory.entities.items()
        if other != name and columns & {c.name for c in theirs[0].entities}
    ]
    return {"name": name, "views": views, "keys": views[0].entities, "near": near}


def _source(directory: Directory, leaf: LeafEntry, live: Live) -> dict[str, Any]:
    name = directory.leaf_names[leaf.name]
    facts = directory.source_facts(leaf)
    reads = {
        column: directory.features_of_column.get(f"{name}.{column}", []) for column in leaf.columns
    }
    views = directory.views_of_leaf[leaf.name]
    return {
        "leaf": leaf,
        "name": name,
        "facts": facts,
        "reads": reads,
        "traced": any(reads.values()),
        "views": views,
        "graph": _source_graph(directory, name, views),
    }


def _owner(directory: Directory, name: str, live: Live) -> dict[str, Any]:
    catalog, facts = directory.catalog, directory.facts
    return {
        "name": name,
        "views": [v for v in catalog.views.values() if v.owner == name],
        "services": [s for s in catalog.services.values() if s.owner == name],
        "groups": [(n, g) for n, g in facts.groups.items() if g.owner == name],
        "consumers": [c for c in facts.consumers if c.owner == name],
    }


def _group(directory: Directory, name: str, live: Live) -> dict[str, Any]:
    return {
        "name": name,
        "facts": directory.facts.groups.get(name, GroupFacts()),
        "views": directory.views_of_group(name),
    }


def _exposure(directory: Directory, consumer: Consumer, live: Live) -> dict[str, Any]:
    catalog = directory.catalog
    return {
        "consumer": consumer,
        "views": [catalog.views[n] for n in consumer.reads if n in catalog.views],
        "services": [catalog.services[n] for n in consumer.services if n in catalog.services],
        "online": live.online,
    }


def _services(directory: Directory, item: Item) -> list[str]:
    return directory.services_of.get((item.view.name, item.feature.name), [])


def _known(directory: Directory, view: ViewEntry) -> bool:
    """Whether what lies compiled is of the view as it is served; without facts nobody knows."""
    return directory.view_facts(view) is not None


def _first_key(view: ViewEntry, live: Live, readable: bool) -> Mapping[str, str]:
    """An entity that there is, for snippets that show something."""
    if not readable or not live.examples.keys:
        return {}
    return dict(zip((c.name for c in view.entities), live.examples.keys[0], strict=True))


def _feature_graph(directory: Directory, item: Item, services: Sequence[str]) -> Graph:
    me = Node("me", item.feature.name, "feature", item.view.name, item.path, here=True)
    facts = directory.view_facts(item.view)
    own = {(r.leaf, r.column): r for r in item.facts.sources}
    rows = {(r.leaf, r.column): r for r in (facts.rows if facts else ())}
    # Of a column that does both, what it does to the feature alone says more.
    nodes = [_column_node(directory, reach) for reach in {**own, **rows, **own}.values()]
    before = nodes or [_leaf_node(directory, leaf) for leaf in item.leaves]
    after = _after(directory, services, item.view.name)
    edges = [(node.key, "me") for node in before]
    edges += [("me", node.key) for node in after]
    title = "Source columns" if nodes else "Sources"
    return lay_out([(title, before), ("This feature", [me]), ("Read by", after)], edges)


def _view_graph(directory: Directory, view: ViewEntry, services: Sequence[str]) -> Graph:
    me = _view_node(directory, view.name, here=True)
    before = [_leaf_node(directory, directory.leaf_names[n]) for n in view.leaves]
    after = _after(directory, services, view.name)
    edges = [(node.key, me.key) for node in before]
    edges += [(me.key, node.key) for node in after]
    return lay_out([("Sources", before), ("This view", [me]), ("Read by", after)], edges)


def _service_graph(directory: Directory, service: ServiceEntry, names: Sequence[str]) -> Graph:
    catalog = directory.catalog
    own = list(dict.fromkeys(catalog.view_behind(name) for name in names))
    views = [_view_node(directory, name) for name in own]
    me = _service_node(directory, service.name, here=True)
    read = [
        (directory.leaf_names[leaf], name)
        for name in own
        if name in catalog.views
        for leaf in catalog.views[name].leaves
        if leaf in directory.leaf_names
    ]
    leaves = [_leaf_node(directory, leaf) for leaf in dict.fromkeys(leaf for leaf, _ in read)]
    after = [_consumer_node(directory, c) for c in directory.consumers_of_service(service.name)]
    edges = [(f"source {leaf}", f"view {name}") for leaf, name in read]
    edges += [(view.key, me.key) for view in views]
    edges += [(me.key, node.key) for node in after]
    layers = [("Sources", leaves), ("Views", views), ("This service", [me]), ("Used by", after)]
    return lay_out(layers, edges)


def _source_graph(directory: Directory, name: str, views: Sequence[ViewEntry]) -> Graph:
    me = Node(f"source {name}", name, "source", here=True)
    nodes = [_view_node(directory, view.name) for view in views]
    services = {
        service: view.name
        for view in views[:12]
        for feature in view.features
        for service in directory.services_of.get((view.name, feature.name), ())
    }
    edges = [(me.key, node.key) for node in nodes]
    edges += [
        (f"view {view.name}", f"service {service}")
        for view in views
        for feature in view.features
        for service in directory.services_of.get((view.name, feature.name), ())
    ]
    after = [_service_node(directory, service) for service in services]
    return lay_out([("This source", [me]), ("Views", nodes), ("Services", after)], edges)


def _after(directory: Directory, services: Sequence[str], view: str) -> list[Node]:
    nodes = [_service_node(directory, name) for name in services]
    return nodes + [_consumer_node(directory, c) for c in directory.consumers_of_view(view)]


def _consumer_node(directory: Directory, consumer: Consumer) -> Node:
    path = directory.path("exposure", consumer.name) if consumer.is_exposure else ""
    return Node(f"consumer {consumer.name}", consumer.name, "consumer", consumer.kind, path)


def _view_node(directory: Directory, name: str, *, here: bool = False) -> Node:
    view = directory.catalog.views.get(name)
    note = "" if view is None else f"view of {entity_of(view)}"
    return Node(f"view {name}", name, "view", note, directory.path("view", name), here)


def _service_node(directory: Directory, name: str, *, here: bool = False) -> Node:
    return Node(
        f"service {name}", name, "service", "service", directory.path("service", name), here
    )


def _leaf_node(directory: Directory, name: str) -> Node:
    return Node(f"source {name}", name, "source", "source", directory.path("source", name))


def _column_node(directory: Directory, reach: Reach) -> Node:
    leaf = directory.leaf_name(reach.leaf)
    how = ", ".join(EFFECTS.get(effect, effect) for effect in reach.effects[:2])
    return Node(
        f"column {leaf}.{reach.column}",
        f"{leaf.rpartition('.')[2]}.{reach.column}",
        "column",
        how,
        directory.path("source", leaf),
        fragment=f"column-{anchor(reach.column)}",
        faint=not is_direct(reach.effects[0]),
    )


_CONTEXTS: Mapping[str, Callable[[Directory, Any, Live], dict[str, Any]]] = {
    "view": _view,
    "service": _service,
    "entity": _entity,
    "source": _source,
    "owner": _owner,
    "group": _group,
    "exposure": _exposure,
}
