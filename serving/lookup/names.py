"""What can be asked for and sent, by name."""

from __future__ import annotations

from typing import Any

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import UnknownNameError, did_you_mean
from feature_specs.names import fold_name
from serving.lookup.errors import InvalidRequestError
from serving.lookup.limits import LIMITS, Limits
from serving.lookup.plan import Reference
from serving.shown import shown


class Names:
    """The names of a catalog.

    Attributes:
        entities: names of all views' entities, in lower case.
        limits: how many names a request may send, and how long ones.
    """

    def __init__(self, catalog: Catalog, limits: Limits = LIMITS) -> None:
        self._catalog, self.limits = catalog, limits
        self._readable = catalog.readable
        views = self._readable.values()
        self._view_of_entity: dict[str, str] = {}  # the first that has it
        for view in views:
            for key in view.keys:
                self._view_of_entity.setdefault(key, view.name)
        self.entities = frozenset(self._view_of_entity)
        self._requests = {fold_name(c.name): c.name for view in views for c in view.requests}
        self._columns = {
            fold_name(c.name): c.name for view in views for c in (*view.entities, *view.requests)
        }

    def service(self, name: Any, where: str = "feature_service") -> tuple[Reference, ...]:
        """The features of a service.

        Raises:
            UnknownNameError: there is no such service; names the closest.
            InvalidRequestError: it is not text.
        """
        if not isinstance(name, str):
            raise InvalidRequestError(
                f"{where!r} is not a string", where=where, hint="send its name"
            )
        listed = self._catalog.service(name, where).features
        return tuple((v, self._catalog.view(v).feature(f).name) for v, f in listed)

    def features(self, references: Any) -> tuple[Reference, ...]:
        """The features of a list of references.

        Raises:
            UnknownNameError, InvalidRequestError: as `feature` does, or it is not a list of them.
        """
        if not isinstance(references, list) or not references:
            raise InvalidRequestError(
                "'features' is not a list of names",
                where="features",
                hint='send ["view:feature", ...]',
            )
        return tuple(map(self.feature, references))

    def feature(self, reference: Any) -> Reference:
        """The (view, feature) of ``view:feature`` or ``view__feature``.

        Raises:
            UnknownNameError: there is no such view or feature; names the closest.
            InvalidRequestError: it is not text.
        """
        if not isinstance(reference, str):
            raise InvalidRequestError(
                f"{shown(reference)} is not a feature", where="features", hint='send "view:feature"'
            )
        if ":" in reference:
            view, _, feature = reference.partition(":")
            return view, self._catalog.view(view, "features").feature(feature).name
        found = self._of_full_name(reference)
        if len(found) > 1:
            either = " or ".join(f"{view}:{feature}" for view, feature in found)
            raise InvalidRequestError(
                f"{reference!r} may be {either}", where="features", hint='send "view:feature"'
            )
        if found:
            return found[0]
        views = self._readable.values()
        everything = [f"{v.name}:{f.name}" for v in views for f in v.features]
        plain = [name for name in everything if name.partition(":")[2] == reference]
        hint = did_you_mean(plain[0] if plain else reference, everything)
        raise UnknownNameError(f"no feature is named {reference!r}", where="features", hint=hint)

    def _of_full_name(self, reference: str) -> list[Reference]:
        """What ``view__feature`` may be: names may hold two underscores themselves."""
        found: list[Reference] = []
        views: list[ViewEntry] = []
        at = reference.find("__")
        while at > 0:
            view = self._readable.get(reference[:at])
            if view is not None:
                views.append(view)
                wanted = fold_name(reference[at + 2 :])
                found += [(view.name, f.name) for f in view.names if fold_name(f.name) == wanted]
            at = reference.find("__", at + 1)
        if len(views) == 1 and not found:
            views[0].feature(reference[len(views[0].name) + 2 :])  # names the closest
        return found

    def check_request_value(self, name: str, where: str) -> None:
        """Refuse a request value that no view has.

        Raises:
            UnknownNameError: no view has a request value of that name.
            InvalidRequestError: it is an entity, which no request value stands in for.
        """
        folded = fold_name(name)
        if folded in self._requests:
            return
        if folded in self.entities:
            raise InvalidRequestError(
                f"{name!r} is an entity of {self._view_of_entity[folded]}, not a request value",
                where=f"{where}.{name}",
                hint='send it in "entities" only',
            )
        raise UnknownNameError(
            f"no feature view has a request value {name!r}",
            where=f"{where}.{name}",
            hint=did_you_mean(name, self._requests.values()),
        )

    def check_column(self, name: str, where: str = "entities") -> None:
        """Raises UnknownNameError unless a view has an entity or a request value of that name."""
        if fold_name(name) not in self._columns:
            raise UnknownNameError(
                f"no feature view has an entity {name!r}",
                where=f"{where}.{name}",
                hint=did_you_mean(name, self._columns.values()),
            )
