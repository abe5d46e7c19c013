"""Stored rows, a value at a time: what `serving.sync` and `serving.columns` make by columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feature_specs.sql_types import SqlType
from serving.rows import encoder, header_text


def encode_row(event_time_us: int | None, fragments: Sequence[str]) -> bytes:
    """A row from its event time (microseconds since the epoch) and the columns' fragments.

    Raises:
        OverflowError: the event time lies outside the years 1 to 9999.
    """
    header = "" if event_time_us is None else header_text(event_time_us)
    return "\0".join([header, *fragments]).encode()


def encode_value(declared: SqlType, value: Any) -> str:
    """One value as a JSON fragment."""
    return "null" if value is None else encoder(declared)(value)
