"""``config.meta.feature_store``, as the dbt-features package has it, read as a feature view's options.

What only documents (tags, lifecycle, time_grain, excluded columns and the like) is that package's
own business, and is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_specs.errors import Location, SpecError, did_you_mean

_FIELD = "config.meta.feature_store"
_TIMES = ("event_timestamp_column", "timestamp_column")
_KNOWN = (
    "is_feature_table", "version", "entity", "grain", "time_grain", *_TIMES, "exclude_columns",
    "exclude", "freshness", "owner", "tags", "description", "definition_version", "lifecycle",
    "replacement",
)  # fmt: skip


def declared_options(
    meta: Mapping[str, Any], event_time: str | None, where: Location | str
) -> tuple[object, str | None]:
    """What a view's meta says of it, under either name, and the column of its event time.

    ``feature_view`` is ours and counts where both are there.

    Args:
        event_time: dbt's own ``config.event_time``.

    Raises:
        SpecError: a field of ``feature_store`` is unknown, or says another event time.
    """
    raw = meta.get("feature_store")
    if "feature_view" in meta or raw is None:
        return meta.get("feature_view"), event_time
    if not isinstance(raw, Mapping):
        raise SpecError(
            f"{_FIELD} is not a mapping", where=where, hint="write `entity: <key column>` under it"
        )
    for name in raw:
        if name not in _KNOWN:
            hint = did_you_mean(str(name), _KNOWN)
            raise SpecError(f"{_FIELD} has no field {name!r}", where=where, hint=hint)
    entity = raw.get("entity")
    options: dict[str, Any] = {"entities": [] if entity is None else entity}
    if raw.get("owner") is not None:
        options["owner"] = raw["owner"]
    freshness = _freshness(raw.get("freshness"), where)
    if freshness is not None:
        options["freshness"] = freshness
    return options, _event_time(raw, event_time, where)


def _event_time(
    raw: Mapping[str, Any], event_time: str | None, where: Location | str
) -> str | None:
    named = next((raw[name] for name in _TIMES if raw.get(name)), None)
    if named is None or event_time is None:
        return event_time or named
    if str(named).lower() != event_time.lower():
        raise SpecError(
            f"{_FIELD} says that rows are of {named!r}, config.event_time that they are of "
            f"{event_time!r}",
            where=where,
            hint="name one column in both",
        )
    return event_time


def _freshness(raw: object, where: Location | str) -> str | None:
    """Its later threshold as a duration; written as dbt writes a source's."""
    if raw is None:
        return None
    threshold = None
    if isinstance(raw, Mapping):
        threshold = raw.get("error_after") or raw.get("warn_after")
    if not isinstance(threshold, Mapping) or not {"count", "period"} <= set(threshold):
        raise SpecError(
            f"{_FIELD}.freshness is {raw!r}",
            where=where,
            hint="write `freshness: {error_after: {count: 6, period: hour}}`",
        )
    return f"{threshold['count']} {threshold['period']}s"
