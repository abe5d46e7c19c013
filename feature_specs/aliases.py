"""``meta.feature_view.aliases``: other names by which a view's features can be asked for.

A feature that was renamed keeps its former name as an alias, so that services, training and clients
which say that name go on. Nothing is stored or computed twice.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from feature_specs.errors import Location, SpecError, UnknownNameError, did_you_mean
from feature_specs.names import fold_name, is_reserved
from feature_specs.view_entry import Feature

_FIELDS = ("of", "deprecation_date")
_EXAMPLE = (
    "write `aliases: {old_name: new_name}`, or "
    "`old_name: {of: new_name, deprecation_date: 2026-12-31}`"
)


@dataclass(frozen=True)
class Alias:
    """What an alias stands for.

    Attributes:
        of: the feature's name.
        deprecation_date: in ISO 8601; empty where it has none.
    """

    of: str
    deprecation_date: str = ""


def read_aliases(raw: object, path: str, where: Location | str) -> dict[str, Alias]:
    """The aliases of a view, by name.

    Raises:
        SpecError: it is not a mapping of such, or a name cannot be a feature's.
    """
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise SpecError(f"{path} is not a mapping", where=where, hint=_EXAMPLE)
    return {str(name): _alias(str(name), said, path, where) for name, said in raw.items()}


def _alias(name: str, said: object, path: str, where: Location | str) -> Alias:
    if re.fullmatch(r"\w+", name) is None or is_reserved(name):
        raise SpecError(
            f"{path} has {name!r}, which is not a plain name, or begins like forebay's own",
            where=where,
            hint="write letters, digits and underscores",
        )
    if isinstance(said, str):
        return Alias(said)
    if not isinstance(said, Mapping) or not isinstance(said.get("of"), str):
        raise SpecError(f"{path}.{name} is {said!r}", where=where, hint=_EXAMPLE)
    unknown = next((field for field in said if field not in _FIELDS), None)
    if unknown is not None:
        raise SpecError(
            f"{path}.{name} has no field {unknown!r}",
            where=where,
            hint=did_you_mean(str(unknown), _FIELDS),
        )
    return Alias(str(said["of"]), _date(said.get("deprecation_date"), f"{path}.{name}", where))


def _date(said: object, path: str, where: Location | str) -> str:
    if said is None:
        return ""
    text = said.isoformat() if isinstance(said, date) else str(said)
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise SpecError(
            f"{path}.deprecation_date is {text!r}", where=where, hint="write 2026-12-31"
        ) from None
    return text


def alias_features(
    aliases: Mapping[str, Alias],
    features: Sequence[Feature],
    taken: Collection[str],
    where: str,
) -> tuple[Feature, ...]:
    """What can be asked for by aliases, in their order.

    Args:
        features: of the view.
        taken: names of its other columns, in lower case: keys, event time and request values.

    Raises:
        UnknownNameError: an alias is of no feature.
        SpecError: an alias has the name of a column of the view, or of another alias.
    """
    own = {fold_name(f.name): f for f in features}
    seen = {*own, *taken}
    found = []
    for name, alias in aliases.items():
        if fold_name(alias.of) not in own:
            raise UnknownNameError(
                f"alias {name!r} is of {alias.of!r}, which is not a feature of the view",
                where=where,
                hint=did_you_mean(alias.of, [f.name for f in features]),
            )
        if fold_name(name) in seen:
            raise SpecError(
                f"alias {name!r} has the name of a column of the view, or of another alias",
                where=where,
                hint="rename it, or take it away",
            )
        seen.add(fold_name(name))
        feature = own[fold_name(alias.of)]
        date = alias.deprecation_date
        found.append(replace(feature, name=name, alias_of=feature.name, deprecated=date))
    return tuple(found)
