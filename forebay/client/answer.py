"""From the bodies of answers to vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forebay.client.decode import Decoder, parse_json
from forebay.client.errors import UnavailableError
from forebay.client.request import VectorRequest
from forebay.client.vectors import Absent, Vectors


class ChangedError(UnavailableError):
    """The project was recompiled between two requests of one call."""


def read_vectors(requests: Sequence[VectorRequest], bodies: Sequence[bytes], url: str) -> Vectors:
    """The vectors of a call, from the answer to each of its requests.

    Args:
        url: who answered, for errors.

    Raises:
        ChangedError: the answers' features or types differ.
        UnavailableError: an answer is not what forebay sends.
    """
    try:
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
        return Vectors(features, types, rows, absent, _ages(answers), decoder)
    except (ValueError, KeyError, TypeError) as error:
        raise UnavailableError(
            f"the answer is not forebay's: {error!r}",
            where=url,
            hint="name the address of `forebay serve`, and see what stands before it",
        ) from error


def _ages(answers: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The greatest age of each view, where ages were asked."""
    ages: dict[str, float] = {}
    for answer in answers:
        for view, age in answer.get("ages", {}).items():
            ages[view] = max(age, ages.get(view, age))
    return ages
