"""The settings of `forebay serve`: options, and the profile's section for what they do not name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from feature_specs.errors import ForebayError
from forebay.dbt_project.project import SERVE, Project
from serving.access.audit import STDOUT
from serving.settings import ServeSettings

#: Where served vectors wait to be committed, in the project's root.
SERVED_FOLDER = "served_vectors"
#: Settings that are files; in the profile relative to the project's root.
_FILES = (
    "keys",
    "jwks",
    "audit",
    "tls_cert",
    "tls_key",
    "tls_client_ca",
    "served_folder",
    "served_secret",
)


def read_settings(project: Project, options: dict[str, Any]) -> ServeSettings:
    """The settings of a project's server.

    Args:
        options: what the command line says, None where it says nothing. Its files are relative to
            the current folder.

    Raises:
        ForebayError: the profile names a setting that does not exist.
    """
    section = dict(project.serve_section)
    for name in _FILES:
        if _is_path(section.get(name)):
            section[name] = str(project.root / section[name])
    where = f"{project.profile_target.file}, {SERVE}"
    said = {name: value for name, value in options.items() if value is not None}
    limits = dict(map(_limit, said.pop("limits", ())))
    if limits:
        section["limits"] = {**(section.get("limits") or {}), **limits}
    for name in _FILES:
        if _is_path(said.get(name)):
            said[name] = str(Path(said[name]).absolute())
    section |= said
    section.setdefault("served_folder", str(project.root / SERVED_FOLDER))
    return ServeSettings.of(section, where)


def _limit(text: str) -> tuple[str, float]:
    """The name and the number of ``name=number``."""
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise ForebayError(
            f"{text!r} is not a limit", where="--limit", hint="write such as --limit cells=500000"
        ) from None


def _is_path(value: object) -> bool:
    return isinstance(value, str) and "://" not in value and value != STDOUT
