"""From the bodies of answers to vectors."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from forebay.client.decode import Decoder, parse_json
from forebay.client.errors import UnavailableError
from forebay.client.request import VectorRequest
from forebay.client.vectors import Absent, Vectors


class Reply(NamedTuple):
    """The body of an answer, and since when a view that it reads is deprecated; None of none."""

    body: bytes
    deprecated: datetime | None = None


class DeprecatedViewWarning(FutureWarning):
    """A call reads a feature view whose author gives it up."""


class ChangedError(UnavailableError):
    """The project was recompiled between two requests of one call."""


def read_vectors(
    requests: Sequence[VectorRequest], replies: Sequence[Reply], url: str, stack: int = 3
) -> Vectors:
    """The vectors of a call, from the answer to each of its requests.

    Warns (`DeprecatedViewWarning`) where they are of a view that is deprecated.

    Args:
        url: who answered, for errors.
        stack: how far up whoever called stands, to whom the warning points.

    Raises:
        ChangedError: the answers' features or types differ.
        UnavailableError: an answer is not what forebay sends.
    """
    try:
        bodies = [reply.body for reply in replies]
        answers = list(map(parse_json, bodies))
        first = answers[0]
        features, types = first["features"], first["types"]
        if any(a["features"] != features or a["types"] != types for a in answers):
            raise ChangedError(
                "the features' types changed while they were read", where=url, hint="ask again"
            )
        rows = first["vectors"] if len(answers) == 1 else [r for a in answers for r in a["vectors"]]
        absent = [
            Absent(request.first + each["row"], each["view"], each["status"])
            for request, answer in zip(requests, answers, strict=True)
            for each in answer["absent"]
        ]
        decoder = Decoder.of(types, bodies)
        made = Vectors(features, types, rows, absent, _ages(answers), decoder)
    except (ValueError, KeyError, TypeError) as error:
        raise UnavailableError(
            f"the answer is not forebay's: {error!r}",
            where=url,
            hint="name the address of `forebay serve`, and see what stands before it",
        ) from error
    made.deprecated = min((r.deprecated for r in replies if r.deprecated), default=None)
    if made.deprecated is not None:
        asked = requests[0].service or ", ".join(made.features[:3])
        warnings.warn(
            f"{asked}: a feature view that it reads is deprecated as of {made.deprecated:%Y-%m-%d}: "
            "read a later version of it, where there is one",
            DeprecatedViewWarning,
            stacklevel=stack,
        )
    return made


def _ages(answers: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The greatest age of each view, where ages were asked."""
    ages: dict[str, float] = {}
    for answer in answers:
        for view, age in answer.get("ages", {}).items():
            ages[view] = max(age, ages.get(view, age))
    return ages
