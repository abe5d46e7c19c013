"""Online stores by the scheme of their URI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

from feature_specs.errors import ForebayError, did_you_mean
from serving.stores.cql import open_cql
from serving.stores.lmdb import open_lmdb
from serving.stores.protocol import (
    NoStoreError,
    OnlineStore,
    OvertakenError,
    Slice,
    StoreDownError,
    StoredView,
    view_of,
)

__all__ = [
    "SCHEMES",
    "NoStoreError",
    "OnlineStore",
    "OvertakenError",
    "Slice",
    "StoreDownError",
    "StoredView",
    "open_store",
    "reading_store",
    "view_of",
]

#: Opens a store from its URI and whether it is only read.
SCHEMES: dict[str, Callable[[str, bool], OnlineStore]] = {
    "lmdb": open_lmdb,
    "cql": open_cql,
}


def open_store(uri: str, *, readonly: bool = False) -> OnlineStore:
    """The online store at ``uri``, for example ``lmdb:///var/lib/forebay/online.lmdb``.

    Raises:
        NoStoreError: it is only to be read, and there is none yet.
        ForebayError: no store has that scheme, or the store cannot be opened.
    """
    scheme = urlsplit(uri).scheme
    if scheme not in SCHEMES:
        raise ForebayError(
            f"no online store has the scheme {scheme!r}",
            where=uri,
            hint=did_you_mean(scheme, SCHEMES),
        )
    return SCHEMES[scheme](uri, readonly)


@contextmanager
def reading_store(uri: str) -> Iterator[OnlineStore | None]:
    """The online store at ``uri``, only to be read and closed afterwards; None if there is none yet.

    Raises:
        ForebayError: no store has that scheme, or the store cannot be opened.
    """
    try:
        store = open_store(uri, readonly=True)
    except NoStoreError:
        yield None
        return
    with closing(store):
        yield store
