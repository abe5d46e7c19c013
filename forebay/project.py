"""A dbt project on disk: its root, its profile, its lake, and dbt itself run in this process."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

from feature_specs.catalog import Catalog, load_catalog
from feature_specs.errors import ForebayError, split_hint
from feature_specs.library_errors import MachineError, explain, explain_text, known_errors
from forebay.check_setup import PLUGIN, ProfileTarget, profile_faults, require_setup
from forebay.find_holder import held_error
from forebay.read_profile import read_target
from forebay.read_yaml import read_yaml
from forebay.terminal import wants_colors


class DbtError(ForebayError):
    """dbt failed.

    Attributes:
        results: dbt's own, of each node that it came to; empty where it never began.
    """

    results: Sequence[Any] = ()


@dataclass(frozen=True)
class DbtResult:
    """What a dbt command gave, and whether it opened the project's database."""

    result: Any
    connected: bool


@dataclass(frozen=True)
class Project:
    """A project by its root. Paths in its profile are relative to the root."""

    root: Path
    target: str | None = None

    @property
    def folder(self) -> Path:
        """Where compile writes: target/forebay."""
        return self.root / "target" / "forebay"

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
        """The project's own clock, dbt var ``forebay_now``."""
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
    def plugin(self) -> Mapping[str, str]:
        """The forebay plugin's config in profiles.yml, paths made absolute.

        Raises:
            ForebayError: something is missing there; all that is missing anywhere is named.
        """
        target = self.profile_target
        if any(profile_faults(target)):
            self.require_setup()
        plugins = (target.output or {}).get("plugins") or []
        return self._absolute(next(dict(p["config"]) for p in plugins if p["module"] == PLUGIN))

    def require_setup(self) -> None:
        """Refuse a project that lacks something that forebay needs, naming all of it."""
        require_setup(self.root, self.settings, self.profile_target)

    def _absolute(self, config: dict[str, str]) -> dict[str, str]:
        for name, scheme in (("uri", "sqlite:///"), ("online", "lmdb://")):
            path = config[name].removeprefix(scheme)
            if config[name].startswith(scheme) and not path.startswith("/"):
                config[name] = f"{scheme}{self.root / path}"
        if "://" not in config["warehouse"]:
            config["warehouse"] = (self.root / config["warehouse"]).absolute().as_uri()
        return config

    @property
    def lake(self) -> dict[str, str]:
        """What opens the Iceberg catalog."""
        return {k: v for k, v in self.plugin.items() if k != "online"}

    @property
    def online(self) -> str:
        """The online store's URI."""
        return self.plugin["online"]

    def catalog(self) -> Catalog:
        """What was compiled last."""
        return load_catalog(self.folder / "catalog.json")

    def dbt(
        self, arguments: Sequence[str], *, quiet: bool = False, manifest: Any = None
    ) -> DbtResult:
        """Run a dbt command in this process and give back its result.

        Raises:
            ForebayError: dbt failed; its first message, or where to find it.
        """
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        messages: list[str] = []

        def listen(event: Any) -> None:
            if event.info.level == "error":
                messages.append(event.info.msg)

        words = [*arguments, "--project-dir", str(self.root), "--profiles-dir", str(self.profiles)]
        if self.target:
            words += ["--target", self.target]
        if quiet:
            words = ["--quiet", *words]
        if not wants_colors():
            words = ["--no-use-colors", *words]
        with _inside(self.root), _silenced(quiet):
            try:
                result = dbtRunner(manifest=manifest, callbacks=[listen]).invoke(words)
                connected = DuckDBConnectionManager._ENV is not None
            finally:
                # Else this process keeps the lock on the project's DuckDB file.
                DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
        if not result.success:
            raise _dbt_error(arguments[0], result, messages)
        return DbtResult(result.result, connected)


def find_project(start: Path | None = None, target: str | None = None) -> Project:
    """The project that holds a folder: the nearest one upwards with a dbt_project.yml.

    Raises:
        ForebayError: there is none.
    """
    folder = (start or Path.cwd()).absolute()
    for candidate in (folder, *folder.parents):
        if (candidate / "dbt_project.yml").exists():
            return Project(candidate, target)
    raise ForebayError(
        "no dbt_project.yml here or above",
        where=str(folder),
        mend="change into a project, or make one with `forebay init my_features`",
    )


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _silenced(quiet: bool) -> Iterator[None]:
    if not quiet:
        yield
        return
    logging.getLogger("pyiceberg").setLevel(logging.ERROR)
    with redirect_stdout(StringIO()):
        yield


def _dbt_error(command: str, result: Any, messages: list[str]) -> ForebayError:
    problem = result.exception
    if isinstance(problem, ForebayError):
        return problem
    if isinstance(problem, known_errors()) and isinstance(explain(problem), MachineError):
        return explain(problem)
    text = str(problem) if problem is not None else " | ".join(messages[:3])
    results = getattr(result.result, "results", None) or []
    failed = [r for r in results if _has_failed(r)]
    where = f"dbt {command}"
    if failed:
        # A macro that `run-operation` ran has a result without a node.
        where = ", ".join(getattr(r, "node", r).unique_id for r in failed[:3])
        text = str(failed[0].message or text)
    held = held_error(_plain(text))
    if held is not None:
        return held
    machine = explain_text(text)
    if machine is not None:
        return machine
    # What stands behind the hint of an error of ours is the list of macros that were called.
    fault, hint = split_hint(_plain(text).partition(" > in macro ")[0])
    error = DbtError(
        fault[:600] or "dbt failed",
        where=where,
        mend=hint or "mend the file that it names; logs/dbt.log has the whole story",
    )
    error.results = results
    return error


def _has_failed(result: Any) -> bool:
    return str(result.status) in ("error", "fail", "runtime error")


def _plain(text: str) -> str:
    import re

    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
