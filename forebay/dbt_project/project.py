"""A dbt project on disk: its root, its profile, its lake, and dbt itself run in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from feature_specs.catalog import Catalog, load_catalog
from feature_specs.catalog_root import check_root
from feature_specs.errors import ForebayError, SpecError
from feature_specs.instants import parse_instant
from feature_specs.lake_properties import ProfileLake, is_complete, lake_properties
from forebay.dbt_project.check_setup import PLUGIN, ProfileTarget, check_setup, profile_faults
from forebay.dbt_project.dbt_errors import explain_dbt
from forebay.dbt_project.dbt_output import dbt_output
from forebay.dbt_project.find_root import CLOCK_PLACE, compiled_folder, find_root
from forebay.dbt_project.read_profile import read_target
from forebay.dbt_project.read_yaml import read_yaml
from forebay.dbt_project.run_dbt import dbt_program, run_program
from forebay.load_less import load_all
from forebay.terminal import wants_colors

if TYPE_CHECKING:
    from forebay.events.node_events import NodeEvents

#: The section of the plugin's config that `forebay serve` reads.
SERVE = "serve"
_LMDB = "lmdb://"


@dataclass(frozen=True)
class DbtResult:
    """What a dbt command gave.

    Attributes:
        connected: whether it opened the project's database.
        manifest: as the command left it, where dbt ran as a program of its own; in this process it
            writes into the one that it was given.
    """

    result: Any
    connected: bool
    manifest: Any = None


@dataclass(frozen=True)
class Project:
    """A project by its root. Paths in its profile are relative to the root."""

    root: Path
    target: str | None = None

    @property
    def folder(self) -> Path:
        """Where compile writes: target/forebay."""
        return compiled_folder(self.root)

    @property
    def profiles(self) -> Path:
        """The folder of profiles.yml: DBT_PROFILES_DIR, else the first of profiles/ in the project,
        the project itself and ~/.dbt that has one."""
        named = os.environ.get("DBT_PROFILES_DIR")
        if named:
            return Path(named)
        places = (self.root / "profiles", self.root, Path.home() / ".dbt")
        return next((p for p in places if (p / "profiles.yml").exists()), self.root)

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """dbt_project.yml."""
        return read_yaml(self.root / "dbt_project.yml")

    @property
    def now(self) -> str | None:
        """The project's own clock, dbt var ``forebay_now``, as it is written."""
        value = (self.settings.get("vars") or {}).get("forebay_now")
        return None if value is None else str(value)

    def clock_line(self) -> str:
        """Where the clock stands that dbt_project.yml sets."""
        return f"clock: {self.now} (var forebay_now in dbt_project.yml)"

    @property
    def boundary(self) -> str | None:
        """The project's default boundary, dbt var ``forebay_boundary``."""
        value = (self.settings.get("vars") or {}).get("forebay_boundary")
        return None if value is None else str(value)

    @cached_property
    def profile_target(self) -> ProfileTarget:
        """The target of this run, as profiles.yml has it."""
        named = os.environ.get("DBT_PROFILE") or self.settings.get("profile")
        name = None if named is None else str(named)
        target = self.target or os.environ.get("DBT_TARGET")
        return read_target(self.profiles / "profiles.yml", name, target)

    @cached_property
    def plugin(self) -> Mapping[str, Any]:
        """The forebay plugin's config in profiles.yml.

        Raises:
            ForebayError: something is missing there; all that is missing anywhere is named.
        """
        target = self.profile_target
        if any(profile_faults(target)):
            self.check_setup()
        plugins = (target.output or {}).get("plugins") or []
        return next(dict(p["config"]) for p in plugins if p["module"] == PLUGIN)

    def check_setup(self) -> None:
        """Refuse a project that lacks something that forebay needs, naming all of it, or whose
        own clock is not an instant."""
        check_setup(self.root, self.settings, self.profile_target)
        if self.now is not None:
            parse_instant(self.now, where=CLOCK_PLACE)

    @property
    def lake(self) -> dict[str, str]:
        """What opens the Iceberg catalog, credentials and all."""
        return lake_properties(self.plugin, self.root)

    @property
    def serve_section(self) -> Mapping[str, Any]:
        """What the plugin's config says of serving, as it is written.

        Raises:
            ForebayError: it is not a mapping.
        """
        found: object = self.plugin.get(SERVE) or {}
        if not isinstance(found, Mapping):
            raise ForebayError(
                f"{SERVE!r} in the plugin's config is not a mapping",
                where=str(self.profile_target.file),
                hint=f"write `{SERVE}: {{keys: keys.json}}`",
            )
        return found

    @property
    def online(self) -> str:
        """The online store's URI."""
        uri = str(self.plugin["online"])
        path = uri.removeprefix(_LMDB)
        return f"{_LMDB}{self.root / path}" if uri.startswith(_LMDB) and path[:1] != "/" else uri

    @property
    def kafka(self) -> dict[str, str]:
        """The Kafka client's settings, ``bootstrap.servers`` and credentials among them.

        Raises:
            SpecError: the profile has none.
        """
        given = self.plugin.get("kafka")
        if not isinstance(given, Mapping) or not given.get("bootstrap.servers"):
            raise SpecError(
                "it says nothing of a broker",
                where=str(self.profiles / "profiles.yml"),
                hint='add such as `kafka: {bootstrap.servers: "localhost:9092"}` to the forebay '
                "plugin's config",
            )
        return {str(k): str(v) for k, v in given.items()}

    def catalog(self) -> Catalog:
        """What was compiled last."""
        catalog = load_catalog(self.catalog_path)
        check_root(catalog, self.root)
        if is_complete(catalog.lake):
            return catalog
        return replace(catalog, lake=ProfileLake(catalog.lake, lambda: self.lake))

    @property
    def catalog_path(self) -> Path:
        """Where compile writes the catalog."""
        return self.folder / "catalog.json"

    def dbt(
        self, arguments: Sequence[str], *, quiet: bool = False, manifest: Any = None
    ) -> DbtResult:
        """Run a dbt command, in this process where dbt has a Python API, and give back its result.

        Raises:
            ForebayError: dbt failed; its first message, or where to find it.
        """
        messages: list[str] = []
        words = [*arguments, "--project-dir", str(self.root), "--profiles-dir", str(self.profiles)]
        if self.target:
            words += ["--target", self.target]
        program = dbt_program()
        if program is not None:

            def hear(level: str, text: str) -> None:
                if level == "error":
                    messages.append(text)
                if not quiet and level in ("info", "warn", "error"):
                    click.echo(text)

            result, connected = run_program(program, words, self.root, hear), True
        else:
            result, connected = self._run_here(words, quiet, manifest, messages)
        if not result.success:
            raise explain_dbt(arguments[0], result, messages)
        return DbtResult(result.result, connected, getattr(result, "manifest", None))

    def _run_here(
        self, words: Sequence[str], quiet: bool, manifest: Any, messages: list[str]
    ) -> tuple[Any, bool]:
        """dbt's own result, and whether the project's database was opened."""
        load_all()
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        nodes = self._node_events(words[0])

        def listen(event: Any) -> None:
            if event.info.level == "error":
                messages.append(event.info.msg)
            nodes.hear(event)

        words = [*(["--quiet"] if quiet else []), *words]
        if not wants_colors():
            words = ["--no-use-colors", *words]
        with _inside(self.root), dbt_output(quiet):
            try:
                result = dbtRunner(manifest=manifest, callbacks=[listen]).invoke(words)
                connected = DuckDBConnectionManager._ENV is not None
            finally:
                nodes.close()
                # Else this process keeps the lock on the project's DuckDB file.
                DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
        return result, connected

    def _node_events(self, command: str) -> NodeEvents:
        """What hears dbt's events of nodes, for the run that is going on."""
        from forebay.events.node_events import NodeEvents

        path = (self.profile_target.output or {}).get("path", "")
        return NodeEvents(self.root, command, str(path), lambda: self.lake)


def find_project(start: Path | None = None, target: str | None = None) -> Project:
    """The project that holds a folder: the nearest one upwards with a dbt_project.yml.

    Raises:
        ForebayError: there is none.
    """
    return Project(find_root(start), target)


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
