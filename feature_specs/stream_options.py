"""What a source's ``meta.stream`` says: the topic that feeds its table, and how its messages are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_specs.errors import Location, SpecError, did_you_mean
from feature_specs.yaml_places import place_of

FORMATS = ("json", "avro")
ON_BAD_ROW = ("dead_letter", "stop")
_FIELDS = ("topic", "format", "schema", "on_bad_row", "dead_letter_topic", "dedupe_by")
_EXAMPLE = "stream: {topic: clicks, format: json, on_bad_row: dead_letter}"


@dataclass(frozen=True)
class StreamEntry:
    """A source that a topic feeds.

    Attributes:
        name: of the source, such as ``shop.clicks``.
        table: the Iceberg table of its rows.
        topic: the Kafka topic.
        format: of a message's value: ``json`` or ``avro``.
        schema: text of the Avro schema of all messages; empty where each names one of a registry.
        on_bad_row: what happens to a message that is not a row of the table: to the
            ``dead_letter`` topic, or ``stop``.
        dead_letter_topic: where such messages go.
        dedupe_by: columns by which an event is the same as one before; empty where each counts.
        where: the place in YAML, for errors.
    """

    name: str
    table: str
    topic: str
    format: str = "json"
    on_bad_row: str = "dead_letter"
    dead_letter_topic: str = ""
    dedupe_by: tuple[str, ...] = ()
    where: str = ""
    schema: str = ""


def read_stream(root: Path, node: Mapping[str, Any], table: str, said: object) -> StreamEntry:
    """A source's ``meta.stream``.

    Args:
        node: the source in dbt's manifest.
        table: its Iceberg table.
        said: what stands under ``meta.stream``.

    Raises:
        SpecError: a field is missing, unknown or none of its values; names file and field.
    """
    name = f"{node['source_name']}.{node['name']}"
    where = place_of(root, dict(node), "stream")
    if not isinstance(said, Mapping) or not said:
        raise SpecError(
            f"meta.stream of source {name} is {said!r}", where=where, hint=f"write `{_EXAMPLE}`"
        )
    for field in said:
        if field not in _FIELDS:
            raise SpecError(
                f"meta.stream of source {name} has no field {field!r}",
                where=_place(root, node, str(field)),
                hint=did_you_mean(str(field), _FIELDS),
            )
    texts = {n: _text(root, node, said, n) for n in ("topic", "dead_letter_topic")}
    if not texts["topic"]:
        raise SpecError(
            f"meta.stream of source {name} names no topic", where=where, hint=f"write `{_EXAMPLE}`"
        )
    kind = _choice(root, node, said, "format", FORMATS)
    return StreamEntry(
        name=name,
        table=table,
        topic=texts["topic"],
        format=kind,
        on_bad_row=_choice(root, node, said, "on_bad_row", ON_BAD_ROW),
        dead_letter_topic=texts["dead_letter_topic"] or f"{texts['topic']}.dead_letters",
        dedupe_by=_columns(root, node, said),
        where=str(where),
        schema=_schema(root, node, said, kind),
    )


def _place(root: Path, node: Mapping[str, Any], field: str) -> Location:
    return place_of(root, dict(node), field)


def _text(root: Path, node: Mapping[str, Any], said: Mapping[str, Any], field: str) -> str:
    value = said.get(field)
    if value is None or isinstance(value, str):
        return value or ""
    raise SpecError(
        f"meta.stream.{field} is {value!r}", where=_place(root, node, field), hint="write a text"
    )


def _schema(root: Path, node: Mapping[str, Any], said: Mapping[str, Any], kind: str) -> str:
    """The text of the file that ``schema`` names, from the project's folder."""
    named = _text(root, node, said, "schema")
    if not named:
        return ""
    where = _place(root, node, "schema")
    if kind != "avro":
        raise SpecError(
            f"meta.stream.schema goes with `format: avro`, and format is {kind}",
            where=where,
            hint="write `format: avro`, or take schema out",
        )
    try:
        return (root / named).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            f"meta.stream.schema names {named!r}, which cannot be read: "
            f"{getattr(error, 'strerror', None) or error}",
            where=where,
            hint="name a file of an Avro schema, from the project's folder: `schema: clicks.avsc`",
        ) from None


def _choice(
    root: Path, node: Mapping[str, Any], said: Mapping[str, Any], field: str, known: tuple[str, ...]
) -> str:
    value = said.get(field, known[0])
    if value not in known:
        raise SpecError(
            f"meta.stream.{field} is {value!r}",
            where=_place(root, node, field),
            hint="write " + " or ".join(known),
        )
    return str(value)


def _columns(root: Path, node: Mapping[str, Any], said: Mapping[str, Any]) -> tuple[str, ...]:
    value = said.get("dedupe_by") or []
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise SpecError(
            f"meta.stream.dedupe_by is {value!r}",
            where=_place(root, node, "dedupe_by"),
            hint="write the columns that tell an event from all others: dedupe_by: [event_id]",
        )
    return tuple(value)
