"""The time axis of a case: a coarse grid, so that events, window edges and spine often coincide."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

US = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Grid:
    """Times from ``base`` in steps; every width is a whole number of steps."""

    name: str
    base: datetime
    step: timedelta
    span: int

    def moment(self, rng: random.Random, jitter: bool = True) -> datetime:
        """A time of the grid, now and then a microsecond beside it."""
        # Rows crowd towards the end, where the spine asks, so that windows are seldom empty.
        at = self.base + max(rng.randrange(self.span), rng.randrange(self.span)) * self.step
        return at + (rng.choice([US, -US]) if jitter and rng.random() < 0.12 else timedelta())

    def width(self, rng: random.Random) -> timedelta:
        """How long a window is."""
        return self.step * rng.choice([1, 2, 4, 4, 6, 8, 8, 12, self.span, 2 * self.span])

    @property
    def end(self) -> datetime:
        return self.base + self.span * self.step


#: Leap days, month ends, a year's end, and a night in which New York's clocks are put forward.
_GRIDS = (
    Grid("minutes", datetime(2024, 2, 28, 22, tzinfo=UTC), 15 * MINUTE, 14),
    Grid("hours", datetime(2024, 3, 10, 1, tzinfo=UTC), HOUR, 14),
    Grid("hours", datetime(2023, 12, 31, 17, tzinfo=UTC), HOUR, 16),
    Grid("days", datetime(2024, 2, 23, tzinfo=UTC), DAY, 14),
)
_DAYS = Grid("days", datetime(2024, 2, 23, tzinfo=UTC), DAY, 14)
_MONTHS = Grid("months", datetime(2024, 1, 27, 15, tzinfo=UTC), DAY, 38)


def draw_grid(rng: random.Random) -> Grid:
    """A grid for clock windows of fixed width."""
    return rng.choice(_GRIDS)


def days(rng: random.Random) -> Grid:
    """A grid for tables dated by the day."""
    return _DAYS


def months() -> Grid:
    """A grid over two month ends, for calendar windows."""
    return _MONTHS


_SHORT = {
    "minute": ["min", "mins", "m"], "hour": ["hr", "hrs", "h"], "day": ["d"], "week": ["w"],
}  # fmt: skip


def spell(rng: random.Random, width: timedelta) -> str:
    """An interval of fixed width in one of SQL's spellings."""
    units = [("minute", MINUTE), ("hour", HOUR), ("day", DAY), ("week", 7 * DAY)]
    fits = [(name, width // unit) for name, unit in units if width % unit == timedelta()]
    name, count = rng.choice(fits)
    forms = [
        f"interval '{count}' {name}",
        f"interval {count} {name}s",
        f"interval '{count} {name}s'",
        f"interval '{count} {rng.choice(_SHORT[name])}'",
    ]
    return rng.choice([forms[0], *forms])
