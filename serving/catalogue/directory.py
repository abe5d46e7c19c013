"""The catalogue's index: everything that has a page, by name and by path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from feature_specs.access import ViewAccess
from feature_specs.catalog import Catalog, Feature, LeafEntry, ServiceEntry, ViewEntry
from feature_specs.catalogue_facts import (
    CatalogueFacts,
    Consumer,
    FeatureFacts,
    ServiceFacts,
    SourceFacts,
    ViewFacts,
)
from serving.catalogue.slugs import unique_slugs

_NO_ACCESS = ViewAccess("")
_NO_FEATURE = FeatureFacts()
_NO_SERVICE = ServiceFacts()
_NO_SOURCE = SourceFacts()


@dataclass(frozen=True, slots=True)
class Item:
    """A feature, with all that it is found by.

    Attributes:
        entity: the key columns of its view, as one text.
        sources: the source columns of its value, as pages show them; empty where not traced.
        leaves: the sources of its view, as pages show them.
        path: of its page, without what stands before and after.
    """

    view: ViewEntry
    feature: Feature
    facts: FeatureFacts
    access: ViewAccess
    entity: str
    tags: tuple[str, ...]
    sources: tuple[str, ...]
    leaves: tuple[str, ...]
    path: str

    @property
    def reference(self) -> str:
        """As lookups and services name it."""
        return f"{self.view.name}:{self.feature.name}"


class Directory:
    """A compiled project as its pages show it.

    Args:
        access: of each view by name.
    """

    def __init__(
        self, catalog: Catalog, facts: CatalogueFacts, access: Mapping[str, ViewAccess]
    ) -> None:
        self.catalog, self.facts, self._access = catalog, facts, access
        self.project = catalog.project
        self.leaf_names = _short_names(catalog.leaves)
        self.features: list[Item] = []
        self.by_reference: dict[tuple[str, str], Item] = {}
        self._paths: dict[str, tuple[str, object]] = {}
        self._path_of: dict[tuple[str, str], str] = {}
        self._name_of: dict[str, str] = {}
        views = unique_slugs(catalog.views)
        for name, part in views.items():
            self._place("view", name, part, catalog.views[name])
        self._place_all("service", catalog.services)
        self._place_all("source", {self.leaf_names[n]: leaf for n, leaf in catalog.leaves.items()})
        for view in catalog.views.values():
            self._add_features(view, views[view.name])
        self._place_all("entity", self.entities)
        self._place_all("owner", {name: name for name in self.owners})
        self._place_all("group", {name: name for name in self.groups})
        self._place_all("exposure", {c.name: c for c in self.facts.consumers if c.is_exposure})

    def find(self, path: str) -> tuple[str, object] | None:
        """What a path's page is of: its kind, and the thing itself."""
        return self._paths.get(path)

    def path(self, kind: str, name: str) -> str:
        """The path of a page; empty where there is none."""
        return self._path_of.get((kind, name), "")

    def name_of(self, path: str) -> str:
        """The name of what a path's page is of, features apart."""
        return self._name_of[path]

    def paths(self) -> Iterable[tuple[str, str, object]]:
        """Every path, with the kind and the thing that its page is of."""
        return ((path, kind, of) for path, (kind, of) in self._paths.items())

    def view_facts(self, view: ViewEntry) -> ViewFacts | None:
        """What is known of a view as it is served; None where that was compiled at another time."""
        found = self.facts.views.get(view.name)
        return found if found and found.definition_hash == view.definition_hash else None

    def service_facts(self, service: ServiceEntry) -> ServiceFacts:
        return self.facts.services.get(service.name, _NO_SERVICE)

    def source_facts(self, leaf: LeafEntry) -> SourceFacts:
        return self.facts.sources.get(leaf.name, _NO_SOURCE)

    def access(self, view: str) -> ViewAccess:
        """Who may read a view."""
        return self._access.get(view, _NO_ACCESS)

    @cached_property
    def entities(self) -> dict[str, list[ViewEntry]]:
        """The views of each combination of key columns."""
        found: dict[str, list[ViewEntry]] = defaultdict(list)
        for view in self.catalog.views.values():
            found[entity_of(view)].append(view)
        return dict(sorted(found.items()))

    @cached_property
    def owners(self) -> list[str]:
        """Whoever owns a view, a service or a group."""
        named = [v.owner for v in self.catalog.views.values()]
        named += [s.owner for s in self.catalog.services.values()]
        named += [g.owner for g in self.facts.groups.values()]
        return sorted({name for name in named if name})

    @cached_property
    def groups(self) -> list[str]:
        """The groups of dbt, and those that views are in."""
        named = [access.group for access in self._access.values() if access.group]
        return sorted({*self.facts.groups, *named})

    def views_of_group(self, group: str) -> list[tuple[ViewEntry, str]]:
        """The views in a group, each with who may read it."""
        found = ((view, self.access(view.name)) for view in self.catalog.views.values())
        return [(view, access.access) for view, access in found if access.group == group]

    @cached_property
    def services_of(self) -> dict[tuple[str, str], list[str]]:
        """The services that read a feature, by view and feature; roles count as their view."""
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        for service in self.catalog.services.values():
            for view, feature in service.features:
                names = found[self.own_name(view, feature)]
                if service.name not in names:
                    names.append(service.name)
        return found

    def own_name(self, view: str, feature: str) -> tuple[str, str]:
        """The view and feature behind a role and an alias; a name that is no more as it stands."""
        behind = self.catalog.view_behind(view)
        known = self.catalog.views[behind].names if behind in self.catalog.views else ()
        return behind, next((f.own_name for f in known if f.name == feature), feature)

    @cached_property
    def views_of_leaf(self) -> dict[str, list[ViewEntry]]:
        """The views that read a leaf, by the leaf's own name."""
        found: dict[str, list[ViewEntry]] = defaultdict(list)
        for view in self.catalog.views.values():
            for leaf in view.leaves:
                found[leaf].append(view)
        return found

    @cached_property
    def features_of_column(self) -> dict[str, list[Item]]:
        """The features that a source column decides, by the column as pages show it."""
        found: dict[str, list[Item]] = defaultdict(list)
        for item in self.features:
            for column in item.sources:
                found[column].append(item)
        return found

    def consumers_of_view(self, view: str) -> list[Consumer]:
        """What reads a view, other than services."""
        return [c for c in self.facts.consumers if view in c.reads]

    def consumers_of_service(self, service: str) -> list[Consumer]:
        """Training sets of a service, and what reads those."""
        return [c for c in self.facts.consumers if service in c.services]

    def versions_of(self, view: ViewEntry) -> list[ViewEntry]:
        """The other versions of a view's model."""
        own = self.facts.views.get(view.name)
        if own is None or not own.version:
            return []
        named = (n for n, f in self.facts.views.items() if f.model == own.model and n != view.name)
        return [self.catalog.views[n] for n in named if n in self.catalog.views]

    def _add_features(self, view: ViewEntry, part: str) -> None:
        facts, access = self.view_facts(view), self.access(view.name)
        names = unique_slugs(f.name for f in view.features)
        entity = entity_of(view)
        tags = () if facts is None else facts.tags
        leaves = tuple(self.leaf_names.get(leaf, leaf) for leaf in view.leaves)
        for feature in view.features:
            known = _NO_FEATURE if facts is None else facts.features.get(feature.name, _NO_FEATURE)
            item = Item(
                view,
                feature,
                known,
                access,
                entity,
                tuple(dict.fromkeys((*known.tags, *tags))) if known.tags else tags,
                tuple([f"{self.leaf_name(r.leaf)}.{r.column}" for r in known.sources]),
                leaves,
                f"feature/{part}/{names[feature.name]}",
            )
            self.features.append(item)
            self.by_reference[view.name, feature.name] = item
            self._paths[item.path] = "feature", item

    def leaf_name(self, leaf: str) -> str:
        """A leaf as pages show it."""
        return self.leaf_names.get(leaf, leaf)

    def _place_all(self, kind: str, things: Mapping[str, object]) -> None:
        for name, part in unique_slugs(things).items():
            self._place(kind, name, part, things[name])

    def _place(self, kind: str, name: str, part: str, thing: object) -> None:
        path = f"{kind}/{part}"
        self._paths[path] = kind, name if kind in ("entity", "owner", "group") else thing
        self._path_of[kind, name] = path
        self._name_of[path] = name


def entity_of(view: ViewEntry) -> str:
    """What a view's features are of: its key columns, as one text."""
    return ", ".join(column.name for column in view.entities)


def _short_names(leaves: Sequence[str] | Mapping[str, object]) -> dict[str, str]:
    """Relations as people say them: schema and table, with the database where it takes that."""
    parts = {name: name.replace('"."', "\0").strip('"').split("\0") for name in leaves}
    short = {name: ".".join(found[-2:]) for name, found in parts.items()}
    said = list(short.values())
    return {n: s if said.count(s) == 1 else ".".join(parts[n]) for n, s in short.items()}
