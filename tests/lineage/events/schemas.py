"""Hold events to the JSON schemas of the specification, which stand in tests/fixtures/openlineage."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

FOLDER = Path(__file__).parents[2] / "fixtures" / "openlineage"


@cache
def schemas() -> dict[str, Any]:
    """Each schema by its address."""
    files = (FOLDER / "OpenLineage.json", *sorted((FOLDER / "facets").glob("*.json")))
    return {found["$id"]: found for found in (json.loads(file.read_text()) for file in files)}


@cache
def validator(url: str) -> Draft202012Validator:
    """What checks against a schema, or a definition in it."""
    resources = [(i, Resource.from_contents(s)) for i, s in schemas().items()]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft202012Validator({"$ref": url}, registry=registry, format_checker=FormatChecker())


def check_event(event: dict[str, Any]) -> None:
    """Fail where the event, or one of its facets, is not as its schema says."""
    assert event["schemaURL"].partition("#")[0] in schemas(), event["schemaURL"]
    validator(event["schemaURL"]).validate(event)
    groups = [event["run"]["facets"], event["job"]["facets"]]
    for dataset in (*event["inputs"], *event["outputs"]):
        groups += [dataset.get(key, {}) for key in ("facets", "inputFacets", "outputFacets")]
    for key, facet in ((k, f) for group in groups for k, f in group.items()):
        url = facet["_schemaURL"]
        validator(url).validate(facet)
        # The file's own root says under which key the facet stands.
        assert key in schemas()[url.partition("#")[0]]["properties"], (key, url)


def read_events(root: Path) -> list[dict[str, Any]]:
    """The events in a project's file, each held to the schemas."""
    path = root / "target" / "openlineage" / "events.ndjson"
    if not path.exists():
        return []
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events:
        check_event(event)
    return events
