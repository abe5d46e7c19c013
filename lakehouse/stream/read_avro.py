"""Read Avro messages as table rows: each value comes through unchanged, or its message is rejected."""

from __future__ import annotations

import io
import itertools
import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyiceberg.schema import Schema

from feature_specs.errors import DataError, ForebayError, first_line
from lakehouse.stream.avro_columns import MisfitError, Read, field_readers
from lakehouse.stream.rows import BadRow, ReadRows

try:
    from fastavro import schemaless_reader
    from fastavro.schema import SchemaParseException, UnknownType, expand_schema, parse_schema
except ImportError:
    raise ForebayError(
        "the reader of Avro is not installed",
        where="fastavro",
        hint="run `pip install 'forebay[kafka]'`",
    ) from None

#: What reading a value's bytes by a schema that they are not of may raise.
_BROKEN = (
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


class RecordReader:
    """Reads the bytes of one Avro schema as rows of a table.

    Raises:
        MisfitError: the schema is none, or its fields are not the table's columns.
    """

    def __init__(self, text: str, schema: Schema) -> None:
        try:
            whole: Any = expand_schema(json.loads(text))
        except (SchemaParseException, UnknownType, ValueError, RecursionError) as error:
            raise MisfitError(f"it is not an Avro schema: {first_line(error)}") from None
        if not isinstance(whole, dict) or whole.get("type") != "record":
            raise MisfitError("its Avro schema is no record, whose fields are the table's columns")
        self._items: Mapping[str, Read] = field_readers(whole["fields"], schema.fields)
        self._decode: Any = parse_schema(_as_encoded(whole, itertools.count()))

    def row(self, value: bytes, start: int = 0) -> list[Any]:
        """A message's values in the order of the columns.

        Raises:
            MisfitError: it is not a row; says why.
        """
        stream = io.BytesIO(value)
        stream.seek(start)
        try:
            found: Any = schemaless_reader(stream, self._decode, None)
        except _BROKEN as error:
            raise MisfitError(f"it is not of its Avro schema: {_told(error)}") from None
        if stream.tell() != len(value):
            left = len(value) - stream.tell()
            raise MisfitError(f"it is not of its Avro schema: {left} bytes are left over")
        return [read(found.get(name)) for name, read in self._items.items()]


class AvroReader:
    """Reads message values as rows of a schema.

    Args:
        text: the Avro schema of all messages; None where each names one of a registry.
        schema_of: gives a schema of the registry by its id; raises MisfitError where it has none.

    Raises:
        DataError: ``text`` is no schema of the table's rows.
    """

    def __init__(
        self,
        schema: Schema,
        text: str | None = None,
        *,
        schema_of: Callable[[int], str] | None = None,
        where: str = "",
    ) -> None:
        self._schema = schema
        self._arrow = pa.schema([f.remove_metadata() for f in schema.as_arrow()])
        self._schema_of = schema_of
        self._plain: RecordReader | None = None
        self._by_id: dict[int, RecordReader | MisfitError] = {}
        if text is not None:
            try:
                self._plain = RecordReader(text, schema)
            except MisfitError as error:
                raise DataError(
                    f"the Avro schema of its messages does not fit the table: {error}",
                    where=where,
                    hint="correct the file that meta.stream.schema names and run `forebay "
                    "compile`, or change the table's columns",
                ) from None

    def read(self, values: Sequence[bytes | None]) -> ReadRows:
        """Read values in order; return valid rows, and rejected messages with their places."""
        rows: list[list[Any]] = []
        bad: list[BadRow] = []
        for place, value in enumerate(values):
            try:
                rows.append(self._row(value))
            except MisfitError as error:
                bad.append(BadRow(place, str(error)))
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(self._arrow)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, self._arrow, strict=True)]
        return ReadRows(pa.Table.from_arrays(arrays, schema=self._arrow), bad)

    def _row(self, value: bytes | None) -> list[Any]:
        if value is None:
            raise MisfitError("the message has no value")
        if self._plain is not None:
            return self._plain.row(value)
        if self._schema_of is None or len(value) < 5 or value[0] != 0:
            raise MisfitError("it does not begin with the id of a schema of the registry")
        number = int.from_bytes(value[1:5], "big")
        reader = self._by_id.get(number)
        if reader is None:
            text = self._schema_of(number)
            try:
                reader = RecordReader(text, self._schema)
            except MisfitError as error:
                reader = MisfitError(f"schema {number} of the registry: {error}")
            self._by_id[number] = reader
        if isinstance(reader, MisfitError):
            raise reader
        return reader.row(value, 5)


def _as_encoded(said: Any, numbers: Iterator[int]) -> Any:
    """A schema by which values are decoded to what is encoded: no logical types, enums by number,
    and maps as arrays of their entries, of which a dict would keep one of each key.

    Args:
        said: with all names expanded: a type that is used twice stands there twice, and is given a
            name of its own each time.
    """
    if isinstance(said, list):
        return [_as_encoded(s, numbers) for s in said]
    if not isinstance(said, dict):
        return said
    kind = said["type"]
    if kind == "enum":
        return "int"
    if kind == "record":
        fields = [
            {"name": f["name"], "type": _as_encoded(f["type"], numbers)} for f in said["fields"]
        ]
        return {"type": "record", "name": f"t{next(numbers)}", "fields": fields}
    if kind == "fixed":
        return {"type": "fixed", "name": f"t{next(numbers)}", "size": said["size"]}
    if kind == "array":
        return {"type": "array", "items": _as_encoded(said["items"], numbers)}
    if kind == "map":
        fields = [
            {"name": "key", "type": "string"},
            {"name": "value", "type": _as_encoded(said["values"], numbers)},
        ]
        entry = {"type": "record", "name": f"t{next(numbers)}", "fields": fields}
        return {"type": "array", "items": entry}
    return _as_encoded(kind, numbers)


def _told(error: BaseException) -> str:
    if isinstance(error, EOFError | IndexError):
        return "it ends too soon, or names a branch that there is not"
    return first_line(error) or type(error).__name__
