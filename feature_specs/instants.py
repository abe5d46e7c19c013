"""Instants: as people write them, and as microseconds since the epoch, which tables and stores keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from feature_specs.errors import SpecError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A day of 24 hours, in microseconds.
DAY_US = 86_400_000_000
_MICROSECOND = timedelta(microseconds=1)


def epoch_us(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime, exactly.

    >>> epoch_us(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    return (moment - EPOCH) // _MICROSECOND


def from_epoch_us(us: int) -> datetime:
    """The instant so many microseconds after the epoch, in UTC.

    Raises:
        OverflowError: it is after the year 9999 or before the year 1.

    >>> from_epoch_us(86_400_000_000).isoformat()
    '1970-01-02T00:00:00+00:00'
    """
    return EPOCH + timedelta(microseconds=us)


def microseconds(length: timedelta) -> int:
    """A length of time in whole microseconds, exactly.

    >>> microseconds(timedelta(minutes=15))
    900000000
    """
    return length // _MICROSECOND


def parse_instant(text: str, *, where: str) -> datetime:
    """An ISO 8601 instant with its offset, in UTC.

    Raises:
        SpecError: it is not one, or says no offset.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise SpecError(
            f"{text!r} is not an instant",
            where=where,
            hint="write such as 2013-12-20T12:00:00+00:00",
        ) from None
    if moment.tzinfo is None:
        raise SpecError(
            f"{text!r} says no time zone", where=where, hint=f"write {moment.isoformat()}+00:00"
        )
    return moment.astimezone(UTC)
