"""A project in Python: training sets, explanations, previews, and vectors as its server answers."""

from __future__ import annotations

import re
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_specs.catalog import Catalog
from feature_specs.errors import DataError, ForebayError
from feature_specs.instants import parse_instant
from forebay.client.errors import ClosedError
from forebay.client.listing import Feature, Health, Service
from forebay.client.local import LocalClient
from forebay.client.values import Columns
from forebay.client.vectors import Vectors
from forebay.closing import Closing
from forebay.dbt_project.project import Project, find_project
from forebay.listed_features import Features, list_features
from forebay.progress_line import is_interactive
from serving.stores import NoStoreError

if TYPE_CHECKING:
    import pyarrow as pa

    from forebay.preview import Preview
    from forebay.training import TrainingSet
    from forebay.training.historical import HistoricalFeatures


def open(
    path: str | Path = ".", *, target: str | None = None, progress: bool | None = None
) -> OpenProject:
    """A project on this machine, compiled where it was not yet.

    Args:
        path: the project's folder, or one inside it.
        target: of profiles.yml; by default the profile's own.
        progress: whether training sets tell on stderr how far they are; by default where somebody
            looks on, in a notebook or at a terminal.

    Raises:
        ForebayError: there is no project, or it cannot be compiled.
    """
    return OpenProject(path, target=target, progress=progress)


class OpenProject(Closing):
    """A project, for training sets and vectors.

    Vectors are read from the online store, which is opened by the first call that needs it; nothing
    else needs it. Any number of threads may share one, and one that is pickled is opened where it
    is unpickled.

    Args:
        path: the project's folder, or one inside it.
        target: of profiles.yml; by default the profile's own.
        progress: whether training sets tell on stderr how far they are; by default where somebody
            looks on, in a notebook or at a terminal.

    Raises:
        ForebayError: there is no project, or it cannot be compiled.
    """

    _opened: LocalClient | None

    def __init__(
        self,
        path: str | Path = ".",
        *,
        target: str | None = None,
        progress: bool | None = None,
    ) -> None:
        self.progress = progress
        self._start(find_project(Path(path), target))

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self._project.root

    def training_set(
        self,
        service: str,
        spine: Any,
        *,
        timestamp: str | None = None,
        lag: str | None = None,
        timezone: str | None = None,
        engine: str = "duckdb",
    ) -> TrainingSet:
        """A service's features for every row of a spine, each as of its own instant.

        Args:
            spine: a frame of pandas or polars, an Arrow table or reader, a DuckDB relation, the path
                of a file, or a SELECT over the lake's tables.
            timestamp: the spine's column of instants; by default ``event_timestamp``, or its only
                time.
            lag: a duration by which stored features stand behind the instants.
            timezone: the zone of the spine's instants where they have none.
            engine: what computes it.

        Raises:
            ForebayError: the service cannot be compiled, or the spine lacks what it needs.
        """
        from forebay.training import SetOptions, make_training_set

        if not isinstance(service, str):
            raise DataError(
                f"{service!r} is not a service's name",
                where="training_set()",
                hint="features of a list: get_historical_features(frame, features=[...])",
            )
        options = SetOptions(timestamp, lag, timezone, engine)
        with _in_python():
            made = make_training_set(self._project, service, spine, options)
        made.show_progress = self.progress if self.progress is not None else is_interactive()
        for told in made.deprecated:
            warnings.warn(told, FutureWarning, stacklevel=2)
        return made

    def get_historical_features(
        self,
        entity_df: Any,
        features: str | Sequence[str],
        full_feature_names: bool = False,
        *,
        timezone: str | None = None,
    ) -> HistoricalFeatures:
        """Features of a list, under Feast's names: ``project.get_historical_features(...).to_df()``.

        Args:
            entity_df: as `training_set`'s spine.
            features: ``view:feature`` each, or the name of a service.
            full_feature_names: whether a feature is named ``view__feature`` in the result.
            timezone: the zone of instants that have none, which Feast takes for UTC.

        Raises:
            ForebayError: as `training_set`, or two features would have one name.
        """
        from forebay.training.historical import historical_features

        with _in_python():
            return historical_features(
                self._project, entity_df, features, full_feature_names, timezone
            )

    def spine(
        self,
        entities: Any,
        *,
        every: str | timedelta,
        start: str | datetime,
        end: str | datetime,
        keys: Sequence[str] = (),
    ) -> pa.Table:
        """A spine of every entity at regular instants, each pair once, in the instants' order.

        Args:
            entities: a frame, a path, or a SELECT over the lake's tables; doubles count once.
            every: from one instant to the next, such as ``1 day``.
            start, end: the first and the last instant, both included; aware, or ISO 8601.
            keys: the columns that name an entity; by default all that there are.

        Raises:
            ForebayError: the entities cannot be read, or there is no instant.
        """
        import pyarrow.parquet as pq

        from forebay.training.regular_spine import Instants, write_spine

        with _in_python(), tempfile.TemporaryDirectory(prefix="forebay") as folder:
            out = Path(folder) / "spine.parquet"
            write_spine(self._project, entities, Instants.of(every, start, end), out, keys=keys)
            return pq.read_table(out)

    def explain(self, view: str, *, lowering: str | None = None, sql: bool = True) -> str:
        """A view's leaf roles, shape, lowering and why, certificate and SQL, as text.

        Raises:
            ForebayError: there is no such view, or it cannot be compiled.
        """
        from forebay.compilation.compile_project import compile_project

        chosen = compile_project(self._project, write=False, only=view).view(view)
        return chosen.explain(lowering, sql=sql)

    def preview(
        self,
        view: str,
        key: Mapping[str, Any] | Any,
        at: datetime | str | None = None,
        *,
        request: Mapping[str, Any] | None = None,
        rows: int = 10,
    ) -> Preview:
        """A view's vector for one entity at one instant, and the rows that it came from.

        Args:
            key: a value a key column; the value itself where there is one column.
            at: an aware datetime or ISO 8601; by default the project's clock, or now.

        Raises:
            ForebayError: there is no such view, or a key is missing or of another type.
        """
        from forebay.compilation.compile_project import compile_project
        from forebay.options import run_instant
        from forebay.preview import preview

        instant = run_instant(self._project, None, "at") if at is None else _instant(at)
        with _in_python():
            compiled = compile_project(self._project, write=False, only=view)
            keys = key if isinstance(key, Mapping) else {_only_key(compiled.catalog, view): key}
            return preview(
                self._project,
                compiled,
                view,
                [f"{name}={value}" for name, value in keys.items()],
                [f"{name}={value}" for name, value in (request or {}).items()],
                instant,
                rows,
                past=at is not None,
            )

    def features(self) -> Features:
        """All features with type, entities, owner and freshness, as a list that shows as a table.

        Where nothing is synced the status of each is ``unsynced``.
        """
        return list_features(self._catalog(), self._online())

    def vectors(
        self,
        features: str | Sequence[str],
        entities: Columns,
        *,
        request: Mapping[str, Any] | None = None,
        ages: bool = False,
        budget: float | None = None,
        timeout: float | None = None,
    ) -> Vectors:
        """What serving would answer, without a server. As `Client.vectors`, without a time-out."""
        return self._client().vectors(
            features, entities, request=request, ages=ages, budget=budget, timeout=timeout
        )

    def services(self) -> list[Service]:
        """The feature services."""
        return [
            Service(s.name, tuple(f"{v}:{f}" for v, f in s.features), s.owner, s.description)
            for s in self._catalog().services.values()
        ]

    def health(self) -> Health:
        """Whether all views can be served. As `Client.health`."""
        return self._client().health()

    def close(self) -> None:
        """Release the store. Calls afterwards raise ClosedError; closing again does nothing."""
        with self._lock:
            self._closed = True
            client, self._opened = self._opened, None
        if client is not None:
            client.close()

    def __repr__(self) -> str:
        catalog = self._catalog()
        held = f"{len(catalog.views)} feature views, {len(catalog.services)} services"
        return f"<forebay project {catalog.project} in {self.root}: {held}>"

    def _repr_html_(self) -> str:
        return self.features().as_html(f"project {self._catalog().project}")

    def __getstate__(self) -> tuple[Project, bool | None]:
        return self._project, self.progress

    def __setstate__(self, state: tuple[Project, bool | None]) -> None:
        project, self.progress = state
        self._start(project)

    def _start(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._closed = False
        self._opened = None
        if not project.catalog_path.exists():
            from forebay.compilation.compile_project import compile_project

            compile_project(project)
        self._catalog()

    def _catalog(self) -> Catalog:
        return self._project.catalog()

    def _client(self) -> LocalClient:
        """What answers vectors; the store is opened once."""
        with self._lock:
            if self._closed:
                raise ClosedError(str(self.root))
            if self._opened is None:
                self._opened = LocalClient(self.root)
            return self._opened

    def _online(self) -> list[Feature] | None:
        """The features that the online store has; None if there is no store."""
        try:
            return self._client().features()
        except NoStoreError:
            return None


def _instant(at: datetime | str) -> datetime:
    if isinstance(at, str):
        return parse_instant(at, where="at")
    if at.tzinfo is None:
        raise DataError("the instant has no time zone", where="at", hint="give it tzinfo=UTC")
    return at


def _only_key(catalog: Catalog, view: str) -> str:
    entities = catalog.view(view).entities
    if len(entities) > 1:
        names = ", ".join(f"{column.name!r}: ..." for column in entities)
        raise DataError(
            f"feature view {view!r} has {len(entities)} keys", where="key", hint=f"give {{{names}}}"
        )
    return entities[0].name


@contextmanager
def _in_python() -> Iterator[None]:
    """Tell of arguments what errors tell of a command's options."""
    try:
        yield
    except ForebayError as error:
        where, hint = str(error.where), error.hint
        if "--" not in where + hint:
            raise
        raise type(error)(
            error.what, where=_spelled(where), hint=_spelled(hint), paste=error.paste
        ) from None


def _spelled(text: str) -> str:
    """
    >>> _spelled("say which it is: --timezone UTC"), _spelled("name it with --timestamp")
    ('say which it is: timezone="UTC"', 'name it with timestamp=')
    """
    text = re.sub("--from", "start", re.sub("--to", "end", text))
    text = re.sub(r"--(timezone|lag|at) ([\w/]+)", r'\1="\2"', text)
    return re.sub(r"--(timestamp|timezone|lag|key|request|every)\b", r"\1=", text)
