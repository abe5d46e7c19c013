"""What keeps a caller from being answered. No text of these holds what was sent as a key."""

from __future__ import annotations

from collections.abc import Sequence

from feature_specs.errors import ForebayError


class UnauthenticatedError(ForebayError):
    """The caller sent no key, or one that is not known: HTTP status 401.

    Attributes:
        sent: whether anything was sent.
    """

    def __init__(self, what: str, *, hint: str, sent: bool = True) -> None:
        self.sent = sent
        super().__init__(what, where="authorization", hint=hint)


class ForbiddenError(ForebayError):
    """The caller is known, and may not read a view: HTTP status 403.

    Attributes:
        views: those that it may not read.
    """

    def __init__(self, what: str, *, where: str, hint: str, views: Sequence[str]) -> None:
        self.views = tuple(views)
        super().__init__(what, where=where, hint=hint)


class MisdirectedError(ForebayError):
    """The request is for another host, whose address may have been made this one's: status 421."""


class KeysUnavailableError(ForebayError):
    """A token may be signed by a key that is being fetched; it is worth another try: 503."""


class RateLimitedError(ForebayError):
    """The team asks for more than it may: HTTP status 429.

    Attributes:
        retry_after_s: seconds until it is worth another try.
    """

    def __init__(self, what: str, *, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(
            what, where="requests", hint="send fewer, or ask who runs the server for more"
        )
