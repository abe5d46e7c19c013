"""Another version of the project, to compare with: a git ref's, or a manifest's."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from feature_specs.errors import CombinedError, ForebayError, errors_of
from feature_specs.manifest import Manifest
from forebay.compilation.compile_project import Compiled, compile_project
from forebay.dbt_project.project import Project

#: What of a project is not in git, and is needed to read it.
_UNTRACKED = ("dbt_packages",)


@dataclass(frozen=True)
class OldView:
    """A view as the other version has it.

    Attributes:
        definition: what it is made of, and who reads it.
        semantic_hash: of what its rows mean.
    """

    definition: Mapping[str, Any]
    semantic_hash: str


@dataclass(frozen=True)
class _Checkout(Project):
    """A project's earlier text, over the present project's profile, lake and online store."""

    home: Project | None = None

    @property
    def _home(self) -> Project:
        assert self.home is not None
        return self.home

    @property
    def profiles(self) -> Path:
        return self._home.profiles

    @cached_property
    def lake(self) -> dict[str, str]:
        return self._home.lake

    @property
    def online(self) -> str:
        return self._home.online


def views_against(project: Project, against: str) -> dict[str, OldView]:
    """The views of another version, over the lake of now.

    Args:
        against: a manifest's file, dbt's own (of `dbt compile`) or target/forebay/manifest.json; else
            a git ref.

    Raises:
        ForebayError: it is neither, or that version does not compile.
    """
    try:
        if Path(against).is_file():
            return _views(
                compile_project(project, write=False, manifest=_manifest(project, against))
            )
        with _checked_out(project, against) as old:
            return _views(compile_project(old, write=False))
    except ForebayError as error:
        told = [
            ForebayError(f"{against}: {e.what}", where=e.where or against, hint=e.hint)
            for e in errors_of(error)
        ]
        raise (told[0] if len(told) == 1 else CombinedError(told)) from None


def _views(compiled: Compiled) -> dict[str, OldView]:
    return {
        name: OldView(json.loads(compiled.definition(name)), view.semantic_hash)
        for name, view in compiled.catalog.views.items()
    }


def _manifest(project: Project, against: str) -> Manifest:
    try:
        raw = json.loads(Path(against).read_text())
        raw = raw.get("manifest", raw)
        return Manifest(raw, project.root, project.boundary)
    except (ValueError, AttributeError, KeyError, TypeError):
        raise ForebayError(
            "no manifest of dbt's",
            where=against,
            hint="name target/manifest.json after `dbt compile`, target/forebay/manifest.json after "
            "`forebay compile`, or a git ref",
        ) from None


@contextmanager
def _checked_out(project: Project, ref: str) -> Iterator[Project]:
    """The project's folder as of a git ref, in a folder of its own."""
    top = Path(_git(project.root, ref, "rev-parse", "--show-toplevel").decode().strip())
    commit = _git(
        project.root, ref, "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}"
    )
    place = project.root.resolve().relative_to(top.resolve())
    tree = f"{commit.decode().strip()}:{'' if place == Path() else place.as_posix()}"
    packed = _git(top, ref, "archive", "--format=tar", tree)
    with TemporaryDirectory(prefix="forebay-against-") as folder:
        root = Path(folder) / project.root.name
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(root, filter="data")
        for name in _UNTRACKED:
            if (project.root / name).is_dir() and not (root / name).exists():
                (root / name).symlink_to(project.root / name)
        if not (root / "dbt_project.yml").exists():
            raise ForebayError("no dbt project there", where=ref, hint="name another ref")
        yield _Checkout(root, project.target, project)


def _git(folder: Path, ref: str, *words: str) -> bytes:
    try:
        return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or str(error).encode()
        lines = said.decode(errors="replace").strip().splitlines()
        raise ForebayError(
            f"neither a file nor a git ref: {lines[-1] if lines else 'git failed'}",
            where=f"--against {ref}",
            hint="name a manifest.json, or a branch, tag or commit such as origin/main",
        ) from None
