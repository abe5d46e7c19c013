"""Choose where events go: as openlineage-python is configured, else a file in the project."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.events.event_file import EventFile
from lineage.events.outbox import Receiver, ReceiverError

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient

#: Turns everything off, as it does for every OpenLineage integration.
DISABLED = "OPENLINEAGE_DISABLED"
#: Errors of the libraries that transports are made of.
_THEIRS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("confluent_kafka", "KafkaException"),
    ("google.api_core.exceptions", "GoogleAPIError"),
    ("httpx", "HTTPError"),
    ("httpx2", "HTTPError"),
    ("urllib3.exceptions", "HTTPError"),
)
_CONFIG_FILE = "openlineage.yml"


def is_disabled(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the user wants no events."""
    return environment.get(DISABLED, "").strip().lower() == "true"


def producer() -> str:
    """The URI of who makes the events: this version of forebay."""
    return f"https://pypi.org/project/forebay/{version('forebay')}"


def receiver_of(root: Path) -> Callable[[], Receiver]:
    """Opens what a project's events go to.

    Args:
        root: the project's folder, where ``openlineage.yml`` may stand.
    """
    config = _config_file(root)
    named = any(
        name == "OPENLINEAGE_URL" or name.startswith("OPENLINEAGE__") for name in os.environ
    )
    file = EventFile(root / "target" / "openlineage")
    if config is None and not named:
        return lambda: file
    return lambda: _open_client(config, file)


def _config_file(root: Path) -> Path | None:
    """The configuration that openlineage-python would find, or the project's."""
    given = os.environ.get("OPENLINEAGE_CONFIG")
    if given:
        return Path(given)  # one that is not there is told of: the user did not ask for our file
    places = [folder / _CONFIG_FILE for folder in (Path.cwd(), root, Path.home() / ".openlineage")]
    return next((place for place in places if place.is_file()), None)


def _open_client(config: Path | None, file: EventFile) -> Receiver:
    """openlineage-python's client; our file where it is configured, but for no transport."""
    if "OPENLINEAGE_CLIENT_LOGGING" not in os.environ:
        # What it could not deliver is told in one line at the end.
        logging.getLogger("openlineage").setLevel(logging.CRITICAL)
    from openlineage.client import OpenLineageClient

    given = None if config is None else _read(config)
    try:
        client = OpenLineageClient(config=given)
        transport = client.config.transport or {}
    except _errors() as error:
        raise ReceiverError(f"it cannot be opened: {error}") from error
    if transport.get("type") or os.environ.get("OPENLINEAGE_URL"):
        return _Client(client)
    return file


def _read(config: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(config.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ReceiverError(f"{config} is not YAML: {error}") from None
    if not isinstance(found, dict):
        raise ReceiverError(f"{config} holds no mapping")
    return found


class _Client:
    """Sends by openlineage-python, event by event."""

    def __init__(self, client: OpenLineageClient) -> None:
        self._client = client

    @property
    def name(self) -> str:
        transport = self._client.transport
        return str(getattr(transport, "url", None) or f"transport {transport.kind!r}")

    def send(self, events: Sequence[str]) -> None:
        for number, event in enumerate(events):
            try:
                self._client.emit(_as_client_event(json.loads(event)))
            except _errors() as error:
                raise ReceiverError(f"{type(error).__name__}: {error}", number) from error


def _errors() -> tuple[type[Exception], ...]:
    """What openlineage-python's transports raise, for an ``except`` clause; requests' are OSErrors."""
    found: list[type[Exception]] = [
        ArithmeticError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError,
        ValueError,
    ]  # fmt: skip
    for module, name in _THEIRS:
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return tuple(found)


def _as_client_event(event: dict[str, Any]) -> Any:
    """The event in the client's classes: it adds tags and filters by them."""
    from openlineage.client import event_v2
    from openlineage.client.facet_v2 import tags_job

    job, run = event["job"], event["run"]
    if tags := job["facets"].get("tags"):
        fields = [tags_job.TagsJobFacetFields(**tag) for tag in tags["tags"]]
        job["facets"]["tags"] = tags_job.TagsJobFacet(tags=fields, producer=tags["_producer"])
    return event_v2.RunEvent(
        eventType=event_v2.RunState[event["eventType"]],
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=event_v2.Run(runId=run["runId"], facets=run["facets"]),
        job=event_v2.Job(namespace=job["namespace"], name=job["name"], facets=job["facets"]),
        inputs=[event_v2.InputDataset(**each) for each in event["inputs"]],
        outputs=[event_v2.OutputDataset(**each) for each in event["outputs"]],
    )
