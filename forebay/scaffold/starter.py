"""A small project of the user's own name that runs at once."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import forebay
from feature_specs.errors import ForebayError
from forebay.scaffold.example import example_root
from forebay.scaffold.starter_rows import starter_files
from forebay.scaffold.write_folder import GITIGNORE, read_folder, write_folder

#: The name that the template's files have for the project and its profile.
TEMPLATE_NAME = "my_features"
#: The macros that a project's own models call.
OWN_MACROS = "macros/forebay.sql"


def make_starter(path: Path, now: datetime) -> str:
    """Make the starter project in a new or empty folder, named as the folder is.

    Args:
        now: where its rows end.

    Returns:
        The project's name.

    Raises:
        ForebayError: something is there already, or the folder's name makes no project's name.
    """
    name = project_name(path)
    template = Path(forebay.__file__).parent / "templates" / "starter"
    files = {
        file: re.sub(rf"\b{TEMPLATE_NAME}\b", name, content.decode()).encode()
        for file, content in read_folder(template).items()
    }
    files[OWN_MACROS] = own_macros()
    files[".gitignore"] = GITIGNORE.encode()
    write_folder(path, files | starter_files(now))
    return name


def own_macros() -> bytes:
    """The file of the macros that every project has."""
    return (example_root() / OWN_MACROS).read_bytes()


def project_name(path: Path) -> str:
    """A dbt project's name from its folder's: lower-case letters, digits and underscores.

    Raises:
        ForebayError: none can be made of it.

    >>> project_name(Path("work/Card-Risk 2"))
    'card_risk_2'
    """
    folder = path.absolute().name
    name = re.sub(r"[^a-z0-9]+", "_", folder.lower()).strip("_")
    if not re.fullmatch(r"[a-z]\w*", name) or name.split("_")[0] == "dbt":
        raise ForebayError(
            f"{folder!r} makes no name of a dbt project",
            where=str(path),
            hint="name a folder that begins with a letter, and not with dbt, such as my_features",
        )
    return name
