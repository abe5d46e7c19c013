"""Instants as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

from feature_specs.errors import SpecError


def parse_instant(text: str, *, where: str) -> datetime:
    """An ISO 8601 instant with its offset, in UTC.

    Raises:
        SpecError: it is not one, or says no offset.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise SpecError(
            f"{text!r} is no instant", where=where, mend="write 2013-12-20T12:00:00+00:00"
        ) from None
    if moment.tzinfo is None:
        raise SpecError(
            f"{text!r} says no time zone", where=where, mend=f"write {moment.isoformat()}+00:00"
        )
    return moment.astimezone(UTC)
