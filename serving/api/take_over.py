"""A running server takes over what its project means by now, and says where it cannot yet.

The server looks at the project's catalog.json. A view that was compiled anew is answered as it was,
from the rows of its earlier meaning, until `forebay sync` has written those of the later one; also by
a server that was started in between (`kept_catalog`). Then the server switches between two requests: what was asked before is answered as it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from feature_specs.access import ViewAccess
from feature_specs.catalog import Catalog
from feature_specs.catalog_file import CatalogFile
from feature_specs.errors import ForebayError, UnknownNameError
from serving.clock import Clock, catalog_clock
from serving.kept_catalog import kept_catalog
from serving.lookup.errors import NotReadyError, UnsyncedError
from serving.lookup.held import Held
from serving.lookup.lookup import Lookup
from serving.lookup.merge import merge
from serving.stores import StoreDownError, view_of

#: Seconds for which the names of what is stored are kept to explain errors.
_NAMES_KEPT_S = 1.0

#: Who may read each view by its name, and the names of groups.
Access = tuple[Mapping[str, ViewAccess], Sequence[str]]


class TakeOver:
    """What a server answers from, and what takes its place.

    Attributes:
        lookup: what is answered from now.
        waiting: views that were compiled anew and are answered as they were.
        problem: why the project as it is now cannot be taken over at all; None where it can.
        access: who may read each view by the project as it is now, and its groups. It counts from
            the moment that it is compiled, also for views that are answered as they were.

    Args:
        lookup: what is answered from first.
        path: the project's catalog.json; None where that is not known.
        clock: what all catalogs are read by; None for each catalog's own.
    """

    def __init__(self, lookup: Lookup, path: Path | None, clock: Clock | None = None) -> None:
        self.lookup = lookup
        self.waiting: tuple[str, ...] = ()
        self.problem: str | None = None
        self.access = _access_of(lookup.catalog)
        self._clock = clock
        self._file = None if path is None else CatalogFile(path)
        self._seen: Catalog | None = None
        self._names: tuple[float, Collection[str]] = (float("-inf"), ())

    def look(self) -> Lookup | None:
        """What is to be answered from instead; None where all is as it was.

        Reads files and the store, so that an event loop leaves it to a thread.
        """
        later = self._load()
        if later is not None:
            self.access = _access_of(later)
        if later is None or (later is self._seen and not self.waiting):
            return None
        served = self.lookup.catalog
        if later.online != served.online:
            self._seen = later
            self.problem = "the project has another online store by now: restart `forebay serve`"
            return None
        try:
            store = self.lookup.store
            held = Held.of(store)
            before = served
            if self._seen is None and not all(map(held.ready, later.views.values())):
                # Compiled anew before this process began: what is there means what it was kept by.
                before = kept_catalog(store, later.project) or served
            merged = merge(before, later, held.ready, held.readable)
            self._seen, self.waiting, self.problem = later, merged.waiting, None
            catalog = merged.catalog
            if self._clock is not None:
                catalog = replace(catalog, now=served.now)
            if _answers(catalog) == _answers(served):
                return None
            return Lookup(catalog, self._clock or catalog_clock(catalog), before=self.lookup)
        except ForebayError as error:
            self.problem = str(error)
            return None

    async def explain(
        self, error: ForebayError, check_names: Callable[[Catalog], None]
    ) -> ForebayError:
        """The error of a request, or one that says what became of the project since.

        What it looks up in the store and in files is left to a thread.

        Args:
            check_names: raises ForebayError where the request names what a catalog does not have.
        """
        if not isinstance(error, UnsyncedError | UnknownNameError):
            return error
        return await asyncio.to_thread(self._explain, error, check_names)

    def _explain(self, error: ForebayError, check_names: Callable[[Catalog], None]) -> ForebayError:
        if isinstance(error, UnsyncedError) and error.view in self._stored_names():
            return NotReadyError(
                f"the online store holds feature view {error.view!r} of another definition than "
                "this server has",
                where=error.view,
                hint=f"run `forebay build` and `forebay sync {error.view}`",
            )
        if isinstance(error, UnknownNameError) and self._knows_better(check_names):
            return UnknownNameError(
                f"{error.what}: it was compiled, and is not in the online store yet",
                where=error.where,
                hint="run `forebay build` and `forebay sync`"
                if self.problem is None
                else "restart `forebay serve`",
            )
        return error

    def _stored_names(self) -> Collection[str]:
        """The views that have rows, under any definition."""
        read_at, names = self._names
        if time.monotonic() - read_at > _NAMES_KEPT_S:
            try:
                names = {view_of(view.name) for view in self.lookup.store.states()}
            except StoreDownError:
                names = ()  # then the error of before says enough
            self._names = (time.monotonic(), names)
        return names

    def _knows_better(self, check_names: Callable[[Catalog], None]) -> bool:
        later = self._load()
        served = later is self._seen and not self.waiting and self.problem is None
        if later is None or served:
            return False
        try:
            check_names(later)
        except ForebayError:
            return False
        return True

    def _load(self) -> Catalog | None:
        """The project's catalog; None where it cannot be read."""
        try:
            return None if self._file is None else self._file.load()
        except (OSError, ForebayError):
            return None  # target/ was removed, or another version of forebay compiles by now


def _answers(catalog: Catalog) -> Sequence[object]:
    """What decides answers; compiling notes more in a catalog."""
    meanings = catalog.views, catalog.roles, catalog.services
    return catalog.project, *meanings, catalog.now, catalog.left_out


def _access_of(catalog: Catalog) -> Access:
    return catalog.access, catalog.groups
