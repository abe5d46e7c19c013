"""DuckDB's types by name: their ranges, a parser of the names, and which hold the same keys.

SQLGlot's own names of them are known in ``compile/sql/type_names``, Iceberg's types in
``lakehouse``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from feature_specs.errors import ForebayError

#: Integer types from the narrowest to the widest.
SIGNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
UNSIGNED = ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")

#: Least and greatest value of each integer type.
INTEGER_RANGE: dict[str, tuple[int, int]] = {
    **{name: (-(2 ** (2**n - 1)), 2 ** (2**n - 1) - 1) for n, name in enumerate(SIGNED, start=3)},
    **{name: (0, 2 ** (2**n) - 1) for n, name in enumerate(UNSIGNED, start=3)},
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


#: A fixed size within a type, apart from names of fields and members of enums.
_SIZE = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*")|\[\d+\]""")


@dataclass(frozen=True)
class SqlType:
    """A DuckDB type.

    Attributes:
        name: the type without its parameters: ``BIGINT``, ``DECIMAL``, ``LIST``, ``STRUCT``, ``MAP``.
        width, scale: of a DECIMAL.
        items: element type of a LIST; field types of a STRUCT; key and value type of a MAP.
        fields: field names of a STRUCT.
        size: of a LIST that is an array of a fixed size.
    """

    name: str
    width: int = 0
    scale: int = 0
    items: tuple[SqlType, ...] = ()
    fields: tuple[str, ...] = ()
    size: int | None = None

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
            return f"{self.items[0]}[{'' if self.size is None else self.size}]"
        if self.name == "STRUCT":
            inner = ", ".join(f"{f} {t}" for f, t in zip(self.fields, self.items, strict=True))
            return f"STRUCT({inner})"
        if self.name == "MAP":
            return f"MAP({self.items[0]}, {self.items[1]})"
        return self.name


def lists_of(kind: str) -> str:
    """A type with lists for its arrays.

    >>> lists_of('STRUCT("a[1]" FLOAT[4], b INTEGER[2][])')
    'STRUCT("a[1]" FLOAT[], b INTEGER[][])'
    """
    return _SIZE.sub(lambda found: found[1] or "[]", kind)


@lru_cache(maxsize=4096)
def parse_type(text: str) -> SqlType:
    """The type that DuckDB writes so.

    Raises:
        ForebayError: forebay cannot store or serve values of it.
    """
    plain = " ".join(text.split())
    if sized := re.search(r"\[(\d*)\]$", plain):
        item = parse_type(plain[: sized.start()])
        return SqlType("LIST", items=(item,), size=int(sized[1]) if sized[1] else None)
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
            "values of this type cannot be stored online",
            where=f"type {text}",
            hint="cast the feature to a number, text, date, timestamp, list or struct",
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


@dataclass(frozen=True)
class KeyKind:
    """Types of which a value of one is one and only one value of another.

    Between two kinds there is no such thing: '03' and 3 would be one key.

    Attributes:
        names: matches DuckDB's names of the types.
        test: SQL that says whether ``{0}``, a column, has such a type; ``typeof`` is a constant to
            DuckDB.
    """

    names: re.Pattern[str]
    test: str


KEY_KINDS: Mapping[str, KeyKind] = {
    "number": KeyKind(
        re.compile(r"U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL\(.*\)"),
        "typeof({0}) like '%INT' or typeof({0}) in ('INTEGER', 'UINTEGER') "
        "or typeof({0}) like 'DECIMAL%'",
    ),
    "text": KeyKind(
        re.compile(r"VARCHAR|ENUM\(.*\)"), "typeof({0}) = 'VARCHAR' or typeof({0}) like 'ENUM%'"
    ),
    "time": KeyKind(
        re.compile(r"DATE|TIMESTAMP.*"), "typeof({0}) = 'DATE' or typeof({0}) like 'TIMESTAMP%'"
    ),
    "boolean": KeyKind(re.compile("BOOLEAN"), "typeof({0}) = 'BOOLEAN'"),
    "uuid": KeyKind(re.compile("UUID"), "typeof({0}) = 'UUID'"),
}


def widens(given: str, wanted: str) -> bool:
    """Whether every value of one of DuckDB's types is one and only one value of the other.

    >>> widens("UINTEGER", "BIGINT"), widens("DATE", "TIMESTAMP"), widens("VARCHAR", "BIGINT")
    (True, True, False)
    """
    kinds = (kind.names for kind in KEY_KINDS.values())
    return given == wanted or any(k.fullmatch(given) and k.fullmatch(wanted) for k in kinds)
