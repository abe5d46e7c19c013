"""SQL that reads a JSON value as a value of a type, or as null where it would not be the same."""

from __future__ import annotations

import re
from dataclasses import dataclass

from feature_specs.quote import literal, quoted
from lakehouse.ingest.read_text import INTEGERS, Rounding, read_text
from lakehouse.ingest.source import split_list

_NUMBERS = "('BIGINT', 'UBIGINT', 'DOUBLE')"


@dataclass(frozen=True)
class ColumnReading:
    """How a column is read.

    Attributes:
        value: SQL of its values.
        fits: SQL that is true of each row whose value comes through unchanged; None: of all.
    """

    value: str
    fits: str | None


def read_json(
    value: str, key: str | None, raw: str, target: str, timezone: str | None, rounding: Rounding
) -> ColumnReading | None:
    """How a JSON value is read as a type; None where JSON cannot hold it.

    Args:
        value: SQL of the JSON value.
        key: by which the row's object has it; None within an array or another object.
        raw: SQL of the row's object as it is written.
    """
    if target.endswith("[]"):
        return _list(value, raw, target[:-2], rounding)
    if target.startswith("STRUCT("):
        return _struct(value, raw, target, rounding)
    if target.startswith("MAP(VARCHAR, "):
        return _map(value, raw, target[len("MAP(VARCHAR, ") : -1], rounding)
    kind = f"json_type({value})"
    text = f"json_extract_string({value}, '$')"
    if target == "VARCHAR":
        sql: str | None = f"case when {kind} = 'VARCHAR' then {text} end"
    elif target == "JSON":
        # All of its numbers are doubles to DuckDB, but for those that have no more digits.
        same = f"{_short(raw)} or contains({_without_blanks(raw)}, {value}::varchar)"
        sql = f"case when {kind} <> 'NULL' and ({same}) then {value}::varchar end"
    elif target == "BOOLEAN":
        sql = f"case when {kind} = 'BOOLEAN' then {value}::varchar = 'true' end"
    else:
        exact = target == "FLOAT" or target in INTEGERS or target.startswith("DECIMAL")
        sql = (
            _double(value, key, raw, text, rounding)
            if target == "DOUBLE"
            else read_text(_digits(value, key, raw) if exact else text, target, timezone, rounding)
        )
        if sql is not None:
            sql = f"case when {kind} in ('VARCHAR', 'BIGINT', 'UBIGINT', 'DOUBLE') then {sql} end"
    if sql is None:
        return None
    return ColumnReading(sql, f"({sql} is not null or {value} is null or {kind} = 'NULL')")


def _digits(value: str, key: str | None, raw: str) -> str:
    """A number's text with all its digits, which DuckDB has cut to those of a double.

    They may matter only where there are more than fifteen; then they are read from the object's
    text, by a key that stands in it once.
    """
    text = f"json_extract_string({value}, '$')"
    short = f"{_short(raw)} and not contains({text}, 'e')"
    whole = f"json_type({value}) in ('VARCHAR', 'BIGINT', 'UBIGINT')"
    return f"case when {whole} or {short} then {text} else {_written(key, raw)} end"


def _double(value: str, key: str | None, raw: str, text: str, rounding: Rounding) -> str:
    """SQL of a double; a whole number must be exact, and zero keeps its sign.

    DuckDB's own text of a JSON number tells neither, so that what may be such a number is read from
    the object's text; null where it does not stand there by a key that is there once.
    """
    plain = read_text(text, "DOUBLE", None, rounding)
    written = read_text(_written(key, raw), "DOUBLE", None, rounding)
    number = f"try_cast({text} as double)"
    among = f"json_type({value}) <> 'VARCHAR' and (abs({number}) >= {2**53} or {number} = 0)"
    there = f"regexp_matches({_numbers(raw)}, '-0([^0-9.eE]|$)') or {_has_inexact(raw)}"
    return f"case when {among} and ({there}) then {written} else {plain} end"


def _has_inexact(raw: str) -> str:
    """SQL: whether an object has a whole number, written with a point, that no double holds."""
    whole = "try_cast(regexp_replace(forebay_number, '[.]0*$', '') as hugeint)"
    held = f"coalesce(try_cast(try_cast(forebay_number as double) as hugeint) = {whole}, false)"
    found = f"regexp_extract_all({_numbers(raw)}, '[0-9]{{16,}}[.]0*')"
    return (
        f"coalesce(list_bool_or(list_transform({found}, lambda forebay_number: not {held})), false)"
    )


def _written(key: str | None, raw: str) -> str:
    """SQL of a number as it stands in its object's text; null where that cannot be told."""
    if key is None:
        return "cast(null as varchar)"
    named = literal('"' + re.escape(key).replace("\\ ", " ") + r'"\s*:\s*')
    written = f"regexp_extract({raw}, concat({named}, '(-?[0-9][0-9.eE+-]*)'), 1)"
    return f"case when len(regexp_extract_all({raw}, {named})) = 1 then {written} end"


_TEXT = r'"(?:[^"\\]|\\.)*"'
_TEXT_OR_BLANKS = rf"({_TEXT})|\s+"


def _short(raw: str) -> str:
    """SQL: whether no number of an object has more digits than a double is sure to keep."""
    return f"not regexp_matches({_numbers(raw)}, '[0-9.]{{16}}|[eE][+-]?[0-9]{{3}}')"


def _numbers(raw: str) -> str:
    """SQL of an object's text without the texts in it."""
    return f"regexp_replace({raw}, {literal(_TEXT)}, '', 'g')"


def _without_blanks(raw: str) -> str:
    return f"regexp_replace({raw}, {literal(_TEXT_OR_BLANKS)}, '\\1', 'g')"


def _list(value: str, raw: str, element: str, rounding: Rounding) -> ColumnReading | None:
    # Times within arrays and objects need their own offset: one zone for all might mix them.
    inner = read_json("forebay_item", None, raw, element, None, rounding)
    if inner is None:
        return None
    array = f"json_type({value}) = 'ARRAY'"
    items = f"cast({value} as json[])"
    made = f"list_transform({items}, lambda forebay_item: {inner.value})"
    fits = f"list_bool_and(list_transform({items}, lambda forebay_item: {inner.fits}))"
    return ColumnReading(
        f"case when {array} then {made} end",
        f"case when {value} is null or json_type({value}) = 'NULL' then true "
        f"when {array} then coalesce({fits}, true) else false end",
    )


def _map(value: str, raw: str, element: str, rounding: Rounding) -> ColumnReading | None:
    pointer = "concat('/', replace(replace(forebay_key, '~', '~0'), '/', '~1'))"
    found = f"json_extract({value}, {pointer})"
    inner = read_json(found, None, raw, element, None, rounding)
    if inner is None:
        return None
    keys, is_object = f"json_keys({value})", f"json_type({value}) = 'OBJECT'"
    made = f"list_transform({keys}, lambda forebay_key: {inner.value})"
    fits = f"list_bool_and(list_transform({keys}, lambda forebay_key: {inner.fits}))"
    return ColumnReading(
        f"case when {is_object} then map({keys}, {made}) end",
        f"case when {value} is null or json_type({value}) = 'NULL' then true "
        f"when {is_object} then len({keys}) = list_unique({keys}) and coalesce({fits}, true) "
        "else false end",
    )


def _struct(value: str, raw: str, target: str, rounding: Rounding) -> ColumnReading | None:
    names: list[str] = []
    parts: list[str] = []
    tests: list[str] = []
    for name, kind in struct_fields(target):
        pointer = literal("/" + name.replace("~", "~0").replace("/", "~1"))
        inner = read_json(f"json_extract({value}, {pointer})", None, raw, kind, None, rounding)
        if inner is None:
            return None
        names.append(literal(name))
        parts.append(f"{quoted(name)} := {inner.value}")
        tests.append(str(inner.fits))
    keys = f"json_keys({value})"
    known = f"list_has_all([{', '.join(names)}], {keys}) and len({keys}) = list_unique({keys})"
    is_object = f"json_type({value}) = 'OBJECT'"
    return ColumnReading(
        f"case when {is_object} then struct_pack({', '.join(parts)}) end",
        f"case when {value} is null or json_type({value}) = 'NULL' then true "
        f"when {is_object} then {known} and {' and '.join(tests)} else false end",
    )


def struct_fields(target: str) -> list[tuple[str, str]]:
    """Names and types of a STRUCT's fields, as DuckDB spells it."""
    fields: list[tuple[str, str]] = []
    for part in split_list(target[len("STRUCT(") : -1]):
        quoted = re.match(r'"((?:[^"]|"")*)"\s+', part)
        if quoted is not None:
            fields.append((quoted[1].replace('""', '"'), part[quoted.end() :]))
        else:
            name, _, kind = part.partition(" ")
            fields.append((name, kind))
    return fields
