"""SQL of a stored value's text: what `serving.rows.encoder` gives, by columns in DuckDB.

A value a call in Python costs a microsecond, DuckDB a twentieth of that on each core. Each expression
here is NULL for a null value; the property test in tests/serving/sync holds them to `serving.rows`.
"""

from __future__ import annotations

from collections.abc import Callable
from json.encoder import encode_basestring

from feature_specs.errors import ForebayError
from feature_specs.quote import literal
from feature_specs.sql_types import SqlType

#: An expression that fails, for what Python's types cannot hold.
Refusal = str

_FIRST, _LAST = "0001-01-01", "9999-12-31"
#: The backslash first, since the other replacements bring some.
_ESCAPES = ["\\", '"', *map(chr, range(0x20))]


def value_sql(declared: SqlType, value: str, refusal: Refusal, depth: int = 0) -> str:
    """SQL of the JSON fragment of ``value``, NULL where that is null.

    Args:
        value: SQL of the value, cheap enough to be repeated.
        refusal: SQL that raises an error, for a value outside the years 1 to 9999.
        depth: how many lists stand around it.

    Raises:
        ForebayError: JSON values of the type are not defined.
    """
    if declared.name == "LIST":
        return _list(declared, value, refusal, depth)
    if declared.name == "STRUCT":
        return _struct(declared, value, refusal, depth)
    if declared.name == "MAP":
        return _map(declared, value, refusal, depth)
    if declared.is_integer:
        return f"{value}::varchar"
    if declared.name == "DECIMAL":
        return _quoted(decimal_text(declared, value))
    if declared.name not in _SCALARS:
        raise ForebayError(
            f"values of type {declared} cannot be stored online",
            where="catalog.json",
            hint="cast the feature, an interval by epoch(...), and run `forebay build`",
        )
    return _SCALARS[declared.name](value, refusal)


def nullable(sql: str) -> str:
    """The fragment, with null's own where it is NULL."""
    return f"coalesce({sql}, 'null')"


def decimal_text(declared: SqlType, value: str) -> str:
    """The digits of a decimal, with one before the point, which DuckDB leaves out where none counts.

    >>> from feature_specs.sql_types import parse_type
    >>> decimal_text(parse_type("DECIMAL(4,2)"), "x")
    'x::varchar'
    """
    text = f"{value}::varchar"
    if declared.width > declared.scale:
        return text
    return f"regexp_replace({text}, '^(-?)\\.', '\\10.')"


def in_years(value: str, kind: str, then: str, refusal: Refusal) -> str:
    """``then`` where a value of type ``kind`` lies in the years that Python has."""
    last = _LAST if kind == "date" else f"{_LAST} 23:59:59.999999"
    between = f"{value} between {kind} '{_FIRST}' and {kind} '{last}'"
    return f"case when {value} is null then null when {between} then {then} else {refusal} end"


def _double(value: str, refusal: Refusal) -> str:
    """The shortest digits, laid out as Python does.

    Where neither writes an exponent DuckDB's JSON writer gives the same, at a third of the cost of a
    cast to text. The cast writes exponents as Python does, but DuckDB 2.0 casts some powers of two
    to other numbers (`MISWRITTEN`): so its text must read back as the value.
    """
    wide = f"{value}::double"
    json, text = f"to_json({wide})::varchar", f"{wide}::varchar"
    return (
        f"case when abs({value}) >= 1e-4 and abs({value}) < 1e16 or {value} = 0 then {json} "
        f"when isnan({value}) then '\"NaN\"' "
        f"when isinf({value}) then case when {value} > 0 then '\"Infinity\"' else '\"-Infinity\"' end "
        f"when try_cast({text} as double) = {wide} then {text} "
        f"else regexp_replace({json}, 'e(\\d)', 'e+\\1') end"
    )


def _text(value: str, refusal: Refusal) -> str:
    """Quoted by DuckDB's JSON writer; where that escapes something, escaped as Python does."""
    json = f"to_json({value})::varchar"
    escaped = value
    for char in _ESCAPES:
        escaped = f"replace({escaped}, chr({ord(char)}), {literal(encode_basestring(char)[1:-1])})"
    return (
        f"case when strlen({json}) = strlen({value}) + 2 then {json} "
        f"""when {value} is not null then '"' || {escaped} || '"' end"""
    )


def _quoted(sql: str) -> str:
    return f"""'"' || {sql} || '"'"""


def _date(value: str, refusal: Refusal) -> str:
    return in_years(value, "date", _quoted(f"{value}::varchar"), refusal)


def _time(value: str, refusal: Refusal) -> str:
    return f"""strftime(date '2000-01-01' + {value}, '"%H:%M:%S.%f"')"""


def _unzoned(value: str, refusal: Refusal) -> str:
    text = f"""strftime({value}, '"%Y-%m-%dT%H:%M:%S.%f"')"""
    return in_years(value, "timestamp", text, refusal)


def _zoned(value: str, refusal: Refusal) -> str:
    # Without its zone, which is UTC, the text takes half the time.
    text = f"""strftime(make_timestamp(epoch_us({value})), '"%Y-%m-%dT%H:%M:%S.%fZ"')"""
    return in_years(value, "timestamptz", text, refusal)


_SCALARS: dict[str, Callable[[str, Refusal], str]] = {
    "BOOLEAN": lambda value, _: f"{value}::varchar",
    "FLOAT": _double,
    "DOUBLE": _double,
    "VARCHAR": _text,
    "BLOB": lambda value, _: _quoted(f"base64({value})"),
    "UUID": lambda value, _: _quoted(f"{value}::varchar"),
    "DATE": _date,
    "TIME": _time,
    "TIMESTAMP": _unzoned,
    "TIMESTAMP WITH TIME ZONE": _zoned,
}


def _list(declared: SqlType, value: str, refusal: Refusal, depth: int) -> str:
    item = f"e{depth}"
    text = nullable(value_sql(declared.items[0], item, refusal, depth + 1))
    return f"'[' || array_to_string(list_transform({value}, lambda {item}: {text}), ',') || ']'"


def _struct(declared: SqlType, value: str, refusal: Refusal, depth: int) -> str:
    parts: list[str] = []
    for name, kind in zip(declared.fields, declared.items, strict=True):
        field = f"struct_extract({value}, {literal(name)})"
        parts += [
            literal(("," if parts else "{") + encode_basestring(name) + ":"),
            nullable(value_sql(kind, field, refusal, depth)),
        ]
    return f"case when {value} is null then null else concat({', '.join(parts)}, '}}') end"


def _map(declared: SqlType, value: str, refusal: Refusal, depth: int) -> str:
    pair = f"e{depth}"
    key = value_sql(declared.items[0], f"{pair}.key", refusal, depth + 1)
    item = nullable(value_sql(declared.items[1], f"{pair}.value", refusal, depth + 1))
    pairs = (
        f"list_transform(map_entries({value}), lambda {pair}: concat('[', {key}, ',', {item}, ']'))"
    )
    return f"'[' || array_to_string({pairs}, ',') || ']'"
