"""STRFTIME: a moment as text by a format that is known when the view is compiled."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from serving.read_time.times import as_moment
from serving.read_time.typed import VARCHAR, Typed, refuse, unary

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


def day_name(moment: datetime) -> str:
    return _DAYS[moment.weekday()]


def month_name(moment: datetime) -> str:
    return _MONTHS[moment.month - 1]


def _hour12(moment: datetime) -> int:
    return moment.hour % 12 or 12


def _day_of_year(moment: datetime) -> int:
    return moment.timetuple().tm_yday


#: By specifier. Not by Python's own strftime: its names follow the server's locale.
_SPECIFIERS: dict[str, Callable[[datetime], str]] = {
    "%": lambda t: "%",
    "a": lambda t: day_name(t)[:3],
    "A": day_name,
    "w": lambda t: str(t.isoweekday() % 7),
    "u": lambda t: str(t.isoweekday()),
    "d": lambda t: f"{t.day:02d}",
    "-d": lambda t: str(t.day),
    "b": lambda t: month_name(t)[:3],
    "h": lambda t: month_name(t)[:3],
    "B": month_name,
    "m": lambda t: f"{t.month:02d}",
    "-m": lambda t: str(t.month),
    "y": lambda t: f"{t.year % 100:02d}",
    "-y": lambda t: str(t.year % 100),
    "Y": lambda t: f"{t.year:04d}",
    "H": lambda t: f"{t.hour:02d}",
    "-H": lambda t: str(t.hour),
    "I": lambda t: f"{_hour12(t):02d}",
    "-I": lambda t: str(_hour12(t)),
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "M": lambda t: f"{t.minute:02d}",
    "-M": lambda t: str(t.minute),
    "S": lambda t: f"{t.second:02d}",
    "-S": lambda t: str(t.second),
    "f": lambda t: f"{t.microsecond:06d}",
    "g": lambda t: f"{t.microsecond // 1000:03d}",
    "j": lambda t: f"{_day_of_year(t):03d}",
    "-j": lambda t: str(_day_of_year(t)),
    "U": lambda t: f"{(_day_of_year(t) + 6 - t.isoweekday() % 7) // 7:02d}",
    "W": lambda t: f"{(_day_of_year(t) + 6 - t.weekday()) // 7:02d}",
    "V": lambda t: f"{t.isocalendar()[1]:02d}",
}

_PIECE = re.compile(r"%(-?.)|[^%]+|%", re.DOTALL)


def strftime(pattern: str, arg: Typed) -> Typed:
    """The moment as text.

    Raises:
        CompileError: the format has a specifier that is not evaluated at reading.
    """
    pieces: list[Callable[[datetime], str]] = []
    for found in _PIECE.finditer(pattern):
        name = found[1]
        if name is None and found[0] != "%":
            pieces.append(lambda t, text=found[0]: text)  # type: ignore[misc]
        elif name in _SPECIFIERS:
            pieces.append(_SPECIFIERS[name])
        else:
            known = " ".join(f"%{n}" for n in _SPECIFIERS)
            raise refuse(f"{found[0]} in the format of strftime", f"use {known}")
    return unary(VARCHAR, lambda t: "".join(piece(t) for piece in pieces), as_moment(arg))
