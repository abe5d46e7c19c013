"""SQL that reads a JSON value as a value of a type, or as null where it would not be the same."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lakehouse.ingest.read_text import INTEGERS, Rounding, read_text
from lakehouse.quote import literal

_NUMBERS = "('BIGINT', 'UBIGINT', 'DOUBLE')"


@dataclass(frozen=True)
class Reading:
    """How a column is read.

    Attributes:
        value: SQL of its values.
        fits: SQL that is true of each row whose value comes through unchanged; None: of all.
    """

    value: str
    fits: str | None


def read_json(
    value: str, key: str | None, raw: str, target: str, timezone: str | None, rounding: Rounding
) -> Reading | None:
    """How a JSON value is read as a type; None where JSON cannot hold it.

    Args:
        value: SQL of the JSON value.
        key: by which the row's object has it; None within an array or another object.
        raw: SQL of the row's object as it is written.
    """
    if target.endswith("[]"):
        return _list(value, raw, target[:-2], timezone, rounding)
    if target.startswith("STRUCT("):
        return _struct(value, raw, target, timezone, rounding)
    kind = f"json_type({value})"
    text = f"json_extract_string({value}, '$')"
    if target == "VARCHAR":
        sql: str | None = f"case when {kind} = 'VARCHAR' then {text} end"
    elif target == "JSON":
        sql = f"case when {kind} <> 'NULL' then {value}::varchar end"
    elif target == "BOOLEAN":
        sql = f"case when {kind} = 'BOOLEAN' then {value}::varchar = 'true' end"
    else:
        exact = target == "FLOAT" or target in INTEGERS or target.startswith("DECIMAL")
        sql = read_text(_digits(value, key, raw) if exact else text, target, timezone, rounding)
        if sql is not None:
            sql = f"case when {kind} in ('VARCHAR', 'BIGINT', 'UBIGINT', 'DOUBLE') then {sql} end"
    if sql is None:
        return None
    return Reading(sql, f"({sql} is not null or {value} is null or {kind} = 'NULL')")


def _digits(value: str, key: str | None, raw: str) -> str:
    """A number's text with all its digits, which DuckDB has cut to those of a double.

    They may matter only where there are more than fifteen; then they are read from the object's
    text, by a key that stands in it once.
    """
    text = f"json_extract_string({value}, '$')"
    short = f"not regexp_matches({raw}, '[0-9.]{{16}}') and not contains({text}, 'e')"
    whole = f"json_type({value}) in ('VARCHAR', 'BIGINT', 'UBIGINT')"
    if key is None:
        return f"case when {whole} or {short} then {text} end"
    named = literal('"' + re.escape(key).replace("\\ ", " ") + r'"\s*:\s*')
    written = f"regexp_extract({raw}, concat({named}, '(-?[0-9][0-9.eE+-]*)'), 1)"
    once = f"len(regexp_extract_all({raw}, {named})) = 1"
    return f"case when {whole} or {short} then {text} when {once} then {written} end"


def _list(
    value: str, raw: str, element: str, timezone: str | None, rounding: Rounding
) -> Reading | None:
    inner = read_json("forebay_item", None, raw, element, timezone, rounding)
    if inner is None:
        return None
    array = f"json_type({value}) = 'ARRAY'"
    items = f"cast({value} as json[])"
    made = f"list_transform({items}, lambda forebay_item: {inner.value})"
    fits = f"list_bool_and(list_transform({items}, lambda forebay_item: {inner.fits}))"
    return Reading(
        f"case when {array} then {made} end",
        f"case when {value} is null or json_type({value}) = 'NULL' then true "
        f"when {array} then coalesce({fits}, true) else false end",
    )


def _struct(
    value: str, raw: str, target: str, timezone: str | None, rounding: Rounding
) -> Reading | None:
    names: list[str] = []
    parts: list[str] = []
    tests: list[str] = []
    for name, kind in struct_fields(target):
        pointer = literal("/" + name.replace("~", "~0").replace("/", "~1"))
        inner = read_json(f"json_extract({value}, {pointer})", None, raw, kind, timezone, rounding)
        if inner is None:
            return None
        names.append(literal(name))
        quoted_name = '"' + name.replace('"', '""') + '"'
        parts.append(f"{quoted_name} := {inner.value}")
        tests.append(str(inner.fits))
    keys = f"json_keys({value})"
    known = f"list_has_all([{', '.join(names)}], {keys}) and len({keys}) = list_unique({keys})"
    is_object = f"json_type({value}) = 'OBJECT'"
    return Reading(
        f"case when {is_object} then struct_pack({', '.join(parts)}) end",
        f"case when {value} is null or json_type({value}) = 'NULL' then true "
        f"when {is_object} then {known} and {' and '.join(tests)} else false end",
    )


def struct_fields(target: str) -> list[tuple[str, str]]:
    """Names and types of a STRUCT's fields, as DuckDB spells it."""
    fields: list[tuple[str, str]] = []
    depth, start, inside = 0, 0, target[len("STRUCT(") : -1]
    in_quotes = False
    for at, sign in enumerate(inside + ","):
        if sign == '"':
            in_quotes = not in_quotes
        if in_quotes:
            continue
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            part = inside[start:at].strip()
            quoted = re.match(r'"((?:[^"]|"")*)"\s+', part)
            if quoted is not None:
                fields.append((quoted[1].replace('""', '"'), part[quoted.end() :]))
            else:
                name, _, kind = part.partition(" ")
                fields.append((name, kind))
            start = at + 1
    return fields
