"""Views that their authors give up: dbt's `deprecation_date`, and what is told to readers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

from feature_specs.catalog import Catalog


def deprecated_views(catalog: Catalog, views: Iterable[str]) -> Iterator[str]:
    """A sentence for each deprecated view among those read, roles included."""
    for name in sorted(set(views)):
        entry = catalog.view(name)
        if entry.deprecated:
            ask = f", or ask {entry.owner}" if entry.owner else ""
            day = instant_of(entry.deprecated).date().isoformat()
            yield (
                f"view {name} is deprecated as of {day}: read a later version of it, "
                f"where there is one{ask}"
            )


def deprecation_headers(catalog: Catalog, views: Iterable[str]) -> tuple[tuple[bytes, bytes], ...]:
    """Headers of an answer that reads deprecated views, by the earliest of their dates; else none.

    `Deprecation` (RFC 9745) and `Sunset` (RFC 8594) are the same instant: dbt has one date.
    """
    said = [entry.deprecated for entry in map(catalog.view, views) if entry.deprecated]
    if not said:
        return ()
    first = min(map(instant_of, said))
    sunset = format_datetime(first, usegmt=True)
    return ((b"deprecation", b"@%d" % int(first.timestamp())), (b"sunset", sunset.encode()))


def instant_of(text: str) -> datetime:
    """The instant of a date or a time in ISO 8601; without a zone it is UTC."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
