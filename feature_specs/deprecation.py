"""Views that their authors give up: dbt's `deprecation_date`, and what is told to readers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feature_specs.catalog import Catalog

#: The header of an answer that says since when what it reads is deprecated.
HEADER = b"deprecation"


def deprecated_reads(catalog: Catalog, features: Collection[tuple[str, str]]) -> Iterator[str]:
    """A sentence for each deprecated view or name among those read, roles included.

    Args:
        features: each a view or role, and a name.
    """
    for name in sorted({view for view, _ in features}):
        entry = catalog.view(name)
        if entry.deprecated:
            ask = f", or ask {entry.owner}" if entry.owner else ""
            day = instant_of(entry.deprecated).date().isoformat()
            yield (
                f"view {name} is deprecated as of {day}: read a later version of it, "
                f"where there is one{ask}"
            )

    for name, feature in sorted(set(features)):
        read = catalog.view(name).feature(feature)
        if read.deprecated:
            day = instant_of(read.deprecated).date().isoformat()
            yield (
                f"the name {read.name} of feature {name}.{read.own_name} is deprecated as of {day}: "
                f"read {read.own_name}"
            )


def deprecation_headers(
    catalog: Catalog, features: Collection[tuple[str, str]]
) -> tuple[tuple[bytes, bytes], ...]:
    """Headers of an answer that reads deprecated views or names, by the earliest date; else none.

    `Deprecation` (RFC 9745) and `Sunset` (RFC 8594) are the same instant: dbt has one date.
    """
    dates = {catalog.view(view).deprecated for view, _ in features}
    dates |= {catalog.view(view).feature(feature).deprecated for view, feature in features}
    said = [date for date in dates if date]
    if not said:
        return ()
    first = min(map(instant_of, said))
    sunset = format_datetime(first, usegmt=True)
    return ((HEADER, b"@%d" % int(first.timestamp())), (b"sunset", sunset.encode()))


def read_deprecation(value: bytes) -> datetime | None:
    """The instant of a `Deprecation` header; None where it is not as RFC 9745 has it."""
    seconds = value.strip().removeprefix(b"@")
    if not value.strip().startswith(b"@") or not seconds.removeprefix(b"-").isdigit():
        return None
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def instant_of(text: str) -> datetime:
    """The instant of a date or a time in ISO 8601; without a zone it is UTC."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
