"""How much one request may ask for, and all requests in work together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from feature_specs.errors import ForebayError
from serving.lookup.errors import InvalidRequestError

_SHOWN = 40


@dataclass(frozen=True)
class Limits:
    """Limits of requests. Whoever asks for more is refused before anything is read.

    Attributes:
        entities: rows of one request.
        cells: rows times features of one request; an answer takes up to 250 bytes a cell.
        cells_in_work: of all requests that a worker has begun.
        names: features, or columns, that one request names.
        name_length: characters of a name.
        vector_entities: rows of one request for vectors.
        body_bytes: of one request's body.
        bodies_bytes: of all bodies that come in parts and are not whole yet, of one worker.
        queue_s: seconds that a request may have waited before it is refused instead of answered.
    """

    entities: int = 10_000
    cells: int = 250_000
    cells_in_work: int = 1_000_000
    names: int = 5_000
    name_length: int = 512
    vector_entities: int = 1_000
    body_bytes: int = 4 * 2**20
    bodies_bytes: int = 64 * 2**20
    queue_s: float = 1.0


LIMITS = Limits()


class TooMuchError(ForebayError):
    """A request asks for more than a server answers at once."""


class OverloadedError(ForebayError):
    """The server has as much in work as it takes; it is worth another try soon."""


def check_names(names: Iterable[Any], place: str, limits: Limits = LIMITS) -> None:
    """Refuse names that are too many or too long, before any is looked up.

    Args:
        place: the field of the request, for errors.

    Raises:
        TooMuchError: there are too many.
        InvalidRequestError: one is too long.
    """
    for count, name in enumerate(names, 1):
        if isinstance(name, str) and len(name) > limits.name_length:
            raise InvalidRequestError(
                f"a name is longer than {limits.name_length} characters: {name[:_SHOWN]!r}...",
                where=place,
                hint="send names as GET /features lists them",
            )
        if count > limits.names:
            raise TooMuchError(
                f"more than {limits.names} names are sent",
                where=place,
                hint="split them over several requests",
            )


def check_request(
    raw: Mapping[str, Any], features: Any, fields: Iterable[str], limits: Limits
) -> None:
    """`check_names` for all names of a request.

    Args:
        features: what it names as features; anything.
        fields: its fields that hold columns.
    """
    check_names(raw, "body", limits)
    if isinstance(features, list):
        check_names(features, "features", limits)
    for field in fields:
        columns = raw.get(field)
        if isinstance(columns, dict):
            check_names(columns, field, limits)


class Work:
    """The cells of all requests that were begun and not answered yet.

    >>> work = Work(Limits(cells=100, cells_in_work=150))
    >>> with work.of(1, 100), work.of(1, 100):
    ...     pass
    Traceback (most recent call last):
    ...
    serving.lookup.limits.OverloadedError: requests: 100 values are in work. Hint: try again soon
    >>> work.cells
    0
    """

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.cells = 0

    def of(self, rows: int, features: int) -> _Begun:
        """A context in which a request's cells are in work.

        Raises:
            TooMuchError: one request may not ask for as many.
            OverloadedError: all in work are too many with these.
        """
        limits, cells = self.limits, rows * features
        if cells > limits.cells:
            raise TooMuchError(
                f"{rows} entities x {features} features are {cells} values, more than {limits.cells}",
                where="entities",
                hint="split the entities over several requests",
            )
        if self.cells + cells > limits.cells_in_work:
            raise OverloadedError(
                f"{self.cells} values are in work", where="requests", hint="try again soon"
            )
        return _Begun(self, cells)


class _Begun:
    __slots__ = ("_cells", "_work")

    def __init__(self, work: Work, cells: int) -> None:
        self._work, self._cells = work, cells
        work.cells += cells

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._work.cells -= self._cells


def check_rows(count: int, limits: Limits = LIMITS) -> None:
    """Raises TooMuchError where a request asks for more entities than it may."""
    if count > limits.entities:
        raise TooMuchError(
            f"{count} entities are asked, more than {limits.entities}",
            where="entities",
            hint="split them over several requests",
        )
