"""DuckDB's types, parsed from the names that catalog.json gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from feature_specs.errors import ForebayError

#: Least and greatest value of each integer type.
INTEGER_RANGE: dict[str, tuple[int, int]] = {
    "TINYINT": (-(2**7), 2**7 - 1),
    "SMALLINT": (-(2**15), 2**15 - 1),
    "INTEGER": (-(2**31), 2**31 - 1),
    "BIGINT": (-(2**63), 2**63 - 1),
    "HUGEINT": (-(2**127), 2**127 - 1),
    "UTINYINT": (0, 2**8 - 1),
    "USMALLINT": (0, 2**16 - 1),
    "UINTEGER": (0, 2**32 - 1),
    "UBIGINT": (0, 2**64 - 1),
    "UHUGEINT": (0, 2**128 - 1),
}

#: Decimal digits that each integer type takes when DuckDB makes a DECIMAL of it.
INTEGER_DIGITS: dict[str, int] = {
    "TINYINT": 3,
    "SMALLINT": 5,
    "INTEGER": 10,
    "BIGINT": 19,
    "HUGEINT": 38,
    "UTINYINT": 3,
    "USMALLINT": 5,
    "UINTEGER": 10,
    "UBIGINT": 20,
    "UHUGEINT": 38,
}

_ALIASES: dict[str, str] = {
    "INT1": "TINYINT",
    "INT2": "SMALLINT",
    "INT4": "INTEGER",
    "INT": "INTEGER",
    "INT8": "BIGINT",
    "LONG": "BIGINT",
    "INT16": "HUGEINT",
    "INT128": "HUGEINT",
    "UINT128": "UHUGEINT",
    "REAL": "FLOAT",
    "FLOAT4": "FLOAT",
    "FLOAT8": "DOUBLE",
    "DOUBLE PRECISION": "DOUBLE",
    "BOOL": "BOOLEAN",
    "TEXT": "VARCHAR",
    "STRING": "VARCHAR",
    "CHAR": "VARCHAR",
    "JSON": "VARCHAR",
    "BYTEA": "BLOB",
    "BINARY": "BLOB",
    "VARBINARY": "BLOB",
    "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP WITHOUT TIME ZONE": "TIMESTAMP",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
    "TIMESTAMP_NS": "TIMESTAMP",
}

_SIMPLE = frozenset(
    [
        *INTEGER_RANGE,
        "FLOAT",
        "DOUBLE",
        "BOOLEAN",
        "VARCHAR",
        "BLOB",
        "UUID",
        "DATE",
        "TIME",
        "TIMESTAMP",
        "TIMESTAMP WITH TIME ZONE",
        "INTERVAL",
    ]
)


@dataclass(frozen=True)
class SqlType:
    """A DuckDB type.

    Attributes:
        name: the type without its parameters: ``BIGINT``, ``DECIMAL``, ``LIST``, ``STRUCT``, ``MAP``.
        width, scale: of a DECIMAL.
        items: element type of a LIST; field types of a STRUCT; key and value type of a MAP.
        fields: field names of a STRUCT.
    """

    name: str
    width: int = 0
    scale: int = 0
    items: tuple[SqlType, ...] = ()
    fields: tuple[str, ...] = ()

    @property
    def is_integer(self) -> bool:
        return self.name in INTEGER_RANGE

    @property
    def is_float(self) -> bool:
        return self.name in ("FLOAT", "DOUBLE")

    @property
    def is_numeric(self) -> bool:
        return self.is_integer or self.is_float or self.name == "DECIMAL"

    @property
    def is_temporal(self) -> bool:
        return self.name in ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")

    def __str__(self) -> str:
        if self.name == "DECIMAL":
            return f"DECIMAL({self.width},{self.scale})"
        if self.name == "LIST":
            return f"{self.items[0]}[]"
        if self.name == "STRUCT":
            inner = ", ".join(f"{f} {t}" for f, t in zip(self.fields, self.items, strict=True))
            return f"STRUCT({inner})"
        if self.name == "MAP":
            return f"MAP({self.items[0]}, {self.items[1]})"
        return self.name


@lru_cache(maxsize=4096)
def parse_type(text: str) -> SqlType:
    """The type that DuckDB writes so.

    Raises:
        ForebayError: forebay cannot store or serve values of it.
    """
    plain = " ".join(text.split())
    if re.search(r"\[\d*\]$", plain):
        return SqlType("LIST", items=(parse_type(plain[: plain.rindex("[")]),))
    upper = plain.upper()
    if upper.startswith(("STRUCT(", "MAP(")) and plain.endswith(")"):
        parts = _split(plain[plain.index("(") + 1 : -1])
        if upper.startswith("MAP("):
            return SqlType("MAP", items=tuple(parse_type(p) for p in parts))
        pairs = [_field(p) for p in parts]
        return SqlType(
            "STRUCT", items=tuple(t for _, t in pairs), fields=tuple(n for n, _ in pairs)
        )
    if upper.startswith("ENUM("):
        return SqlType("VARCHAR")
    if match := re.fullmatch(r"(?:DECIMAL|NUMERIC)(?:\((\d+)(?:,\s?(\d+))?\))?", upper):
        width, scale = match.groups()
        if width is None:
            return SqlType("DECIMAL", 18, 3)
        return SqlType("DECIMAL", int(width), int(scale or 0))
    base = re.sub(r"\(\d+\)$", "", upper)
    name = _ALIASES.get(base, base)
    if name not in _SIMPLE:
        raise ForebayError(
            f"values of type {text} cannot be stored online",
            where="catalog.json",
            mend="cast the feature to a number, text, date, timestamp, list or struct",
        )
    return SqlType(name)


def _field(text: str) -> tuple[str, SqlType]:
    if text.startswith('"'):
        end = re.match(r'"((?:[^"]|"")*)"\s*', text)
        if end:
            return end.group(1).replace('""', '"'), parse_type(text[end.end() :])
    name, _, rest = text.partition(" ")
    return name, parse_type(rest)


def _split(text: str) -> list[str]:
    """Split at the commas that stand outside brackets and quotes."""
    parts, depth, start, quoted = [], 0, 0, False
    for i, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    parts.append(text[start:].strip())
    return parts
