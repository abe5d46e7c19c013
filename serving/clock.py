"""What time it is: now, or the instant that a demo on old data runs at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from feature_specs.catalog import Catalog
from feature_specs.errors import ForebayError

#: Gives the present instant as an aware datetime in UTC.
Clock = Callable[[], datetime]


def catalog_clock(catalog: Catalog) -> Clock:
    """The catalog's ``now`` where it has one, else the real time.

    Raises:
        ForebayError: ``now`` is not an ISO instant.
    """
    if catalog.now is None:
        return _real
    try:
        instant = datetime.fromisoformat(catalog.now)
    except ValueError:
        raise ForebayError(
            f"{catalog.now!r} is not an ISO 8601 instant",
            where="var forebay_now",
            hint="write such as 2013-07-01T00:00:00Z in dbt_project.yml, then `forebay compile`",
        ) from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    fixed = instant.astimezone(UTC)
    return lambda: fixed


def _real() -> datetime:
    return datetime.now(UTC)
