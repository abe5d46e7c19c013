"""What keeps a lookup from being answered."""

from __future__ import annotations

from feature_specs.errors import ForebayError


class InvalidRequestError(ForebayError):
    """The request reads well but asks for what cannot be."""


class MissingValueError(InvalidRequestError):
    """An entity or a request value that is needed was not sent.

    Attributes:
        kind: ``entity`` or ``request value``.
    """

    def __init__(self, what: str, *, kind: str, where: str, hint: str) -> None:
        self.kind = kind
        super().__init__(what, where=where, hint=hint)


class NotReadyError(ForebayError):
    """The online store does not hold what the catalog describes."""


class StaleError(NotReadyError):
    """A view's rows are older than it allows, and it is not to be answered then."""


class UnsyncedError(NotReadyError):
    """The online store has no rows of what a view means by the catalog.

    Attributes:
        view: its name.
    """

    def __init__(self, view: str) -> None:
        self.view = view
        super().__init__(
            f"feature view {view!r} is not in the online store yet",
            where=view,
            hint=f"run `forebay sync {view}`, after `forebay build` if it is not built",
        )
