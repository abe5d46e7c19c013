"""The small project, whose payments come from a topic."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from tests.forebay.small import PROFILES, edit, make_project
from tests.servers.kafka import KafkaServer


def payment(customer: str, amount: int) -> bytes:
    """A message: a payment of a day before the project's clock."""
    row = {"customer": customer, "paid_at": "2024-01-09T00:00:00Z", "amount": amount}
    return json.dumps(row).encode()


def make_streamed_shop(root: Path, kafka: KafkaServer, profile: str = "") -> str:
    """Write the project and create the topic, whose name is given back.

    Args:
        profile: more lines of the plugin's config.
    """
    topic = f"payments-{uuid.uuid4().hex[:8]}"
    kafka.create(topic)
    broker = f'            kafka: {{bootstrap.servers: "{kafka.address}"}}\n'
    make_project(root, {"profiles/profiles.yml": PROFILES + broker + profile})
    edit(
        root,
        "models/sources.yml",
        "{event_time: paid_at}",
        f"{{event_time: paid_at, meta: {{stream: {{topic: {topic}}}}}}}",
    )
    return topic
