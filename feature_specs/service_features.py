"""What a feature service lists: features of views, and of views in a role of their own."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from feature_specs.errors import SpecError, UnknownNameError, did_you_mean
from feature_specs.names import fold_name, is_reserved

_FIELDS = ("view", "as", "keys", "features")


@dataclass(frozen=True)
class ServiceItem:
    """One item of the list.

    Attributes:
        view: the view's own name.
        feature: of it; ``*`` for all.
        role: the name under which it is read; empty where that is the view's own.
        keys: of each entity that is called otherwise in the role, its name there.
    """

    view: str
    feature: str
    role: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)


def read_item(item: Any, where: str) -> list[ServiceItem]:
    """An item as it is written: ``view.feature``, ``view.*``, or a view in a role.

    >>> read_item({"view": "users", "as": "buyer", "keys": {"user_id": "buyer_id"}}, "")
    [ServiceItem(view='users', feature='*', role='buyer', keys={'user_id': 'buyer_id'})]

    Raises:
        SpecError: a field of a role is missing, misspelt or no name.
    """
    if not isinstance(item, Mapping):
        name, _, feature = str(item).replace("__", ".", 1).replace(":", ".", 1).partition(".")
        return [ServiceItem(name, feature or "*")]
    unknown = next((name for name in item if name not in _FIELDS), None)
    if unknown is not None:
        raise SpecError(
            f"an item of features has a field {unknown!r}",
            where=where,
            hint=did_you_mean(str(unknown), _FIELDS),
        )
    view, role, keys = item.get("view"), item.get("as"), item.get("keys")
    features = item.get("features", ["*"])
    if not (isinstance(view, str) and isinstance(role, str) and isinstance(keys, Mapping)):
        raise SpecError(
            f"a role of features is {dict(item)!r}, which lacks its view, its name or its keys",
            where=where,
            hint="write `{view: user_stats, as: buyer, keys: {user_id: buyer_id}}`",
        )
    named = {str(own): str(there) for own, there in keys.items()}
    wrong = next((n for n in (role, *named.values()) if _is_no_name(n)), None)
    if wrong is not None:
        raise SpecError(
            f"{wrong!r} in role {role!r} is not a plain name, or begins like forebay's own",
            where=where,
            hint="write letters, digits and underscores",
        )
    if not isinstance(features, list):
        raise SpecError(
            f"features of role {role!r} is not a list", where=where, hint="write `features: [a, b]`"
        )
    return [ServiceItem(view, str(feature), role, named) for feature in features]


def list_features(
    items: Sequence[ServiceItem],
    views: Mapping[str, Sequence[str]],
    not_in_star: Mapping[str, Collection[str]],
    where: str,
) -> list[tuple[str, str]]:
    """The features of items in order, each as the name it is read under and the feature.

    Args:
        views: view name to its features, in order.
        not_in_star: of a view, the columns that ``*`` leaves out, in lower case.

    Raises:
        UnknownNameError: a view or a feature does not exist.
        SpecError: a role has a view's name, or is said in two ways.
    """
    roles: dict[str, tuple[str, Mapping[str, str]]] = {}
    found: list[tuple[str, str]] = []
    for item in items:
        if item.role and roles.setdefault(item.role, (item.view, item.keys)) != (
            item.view,
            item.keys,
        ):
            raise SpecError(
                f"role {item.role!r} is said in two ways", where=where, hint="name one otherwise"
            )
        if item.role in views:
            raise SpecError(
                f"role {item.role!r} has the name of a feature view", where=where, hint="rename it"
            )
        found += _features(item, views, not_in_star, where)
    return found


def _features(
    item: ServiceItem,
    views: Mapping[str, Sequence[str]],
    not_in_star: Mapping[str, Collection[str]],
    where: str,
) -> list[tuple[str, str]]:
    view, name = item.view, item.role or item.view
    if view not in views:
        raise UnknownNameError(
            f"no feature view is named {view!r}", where=where, hint=did_you_mean(view, views)
        )
    if item.feature == "*":
        left_out = not_in_star.get(view, ())
        return [(name, feature) for feature in views[view] if fold_name(feature) not in left_out]
    spelled = {fold_name(feature): feature for feature in views[view]}
    if fold_name(item.feature) not in spelled:
        raise UnknownNameError(
            f"feature view {view!r} has no feature {item.feature!r}",
            where=where,
            hint=did_you_mean(item.feature, views[view]),
        )
    return [(name, spelled[fold_name(item.feature)])]


def _is_no_name(name: str) -> bool:
    return re.fullmatch(r"\w+", name) is None or is_reserved(name)
