"""SQL of a view's stored rows: the very (key, row) bytes that `serving.columns.RowEncoder` gives."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from feature_specs.catalog import Column, ViewEntry
from feature_specs.errors import DataError, ForebayError
from feature_specs.quote import literal, quoted
from feature_specs.sql_types import parse_type
from serving.sync.value_sql import decimal_text, in_years, nullable, value_sql

#: What `error()` is called with: a stored column's place, or what is wrong with the event time.
_MARK = "forebay cannot store "
_NO_TIME, _FAR_TIME = "no event time", "far event time"


@dataclass(frozen=True)
class RowSql:
    """SQL over the columns of a view's feature table or log."""

    view: ViewEntry

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read: keys, event time, stored columns."""
        time = () if self.view.time_column is None else (self.view.time_column,)
        return tuple(dict.fromkeys([*self.view.keys, *time, *(c.name for c in self.view.stored)]))

    @cached_property
    def whole(self) -> str:
        """A condition: no part of the key is null."""
        return " and ".join(f"{quoted(name)} is not null" for name in self.view.keys)

    @cached_property
    def key(self) -> str:
        """The key, a BLOB, of a row whose key is whole."""
        parts = [
            _key_text(column, quoted(name))
            for column, name in zip(self.view.entities, self.view.keys, strict=True)
        ]
        return f"encode(concat_ws(chr(0), {', '.join(parts)}))"

    @cached_property
    def row(self) -> str:
        """The row, a BLOB. It raises an error, which `refusal` explains, where it cannot be stored."""
        fragments = [
            nullable(value_sql(parse_type(c.type), quoted(c.name), _error(str(place))))
            for place, c in enumerate(self.view.stored)
        ]
        return f"encode(concat_ws(chr(0), {', '.join([self._header(), *fragments])}))"

    def _header(self) -> str:
        if self.view.time_column is None:
            return "''"
        # A date counts from its first instant.
        time = f"make_timestamp(epoch_us({quoted(self.view.time_column)}))"
        text = f"replace(strftime({time}, '%Y-%m-%dT%H:%M:%S.%f'), '.000000', '')"
        return (
            f"coalesce({in_years(time, 'timestamp', text, _error(_FAR_TIME))}, {_error(_NO_TIME)})"
        )

    def refusal(self, error: Exception) -> ForebayError | None:
        """What an error of a query over `row` says of a value; None of any other error."""
        found = re.search(f"{_MARK}({_NO_TIME}|{_FAR_TIME}|\\d+)", str(error))
        if found is None:
            return None
        view, place = self.view, found[1]
        if place == _NO_TIME:
            return DataError(
                f"a row of {view.table} has no {view.event_time}",
                where=view.name,
                hint="run `forebay build`; a row without event_time is never visible",
            )
        if place == _FAR_TIME:
            return DataError(
                f"an {view.event_time} lies outside the years 1 to 9999",
                where=view.name,
                hint="leave such rows out in the view's SQL",
            )
        column = view.stored[int(place)].name
        return DataError(
            f"a value of {view.spelling(column)!r} cannot be stored online: it lies outside the "
            "years 1 to 9999",
            where=view.name,
            hint="cap it in the feature's SQL, or cast it to text",
        )


def _error(about: str) -> str:
    return f"error({literal(_MARK + about)})"


def _key_text(column: Column, value: str) -> str:
    """SQL of a key part's text, as `serving.keys` gives it."""
    declared = parse_type(column.type)
    match declared.name:
        case "DECIMAL":
            return decimal_text(declared, value)
        case "TIMESTAMP" | "TIMESTAMP WITH TIME ZONE":
            return f"epoch_us({value})::varchar"
        case "UUID":
            return f"{value}::uuid::varchar"
        case "VARCHAR":
            return f"replace(replace({value}, chr(1), chr(1) || chr(2)), chr(0), chr(1) || chr(1))"
    return f"{value}::varchar"
