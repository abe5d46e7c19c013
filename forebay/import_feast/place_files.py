"""Put written files into a dbt project, or into a new one; nothing that is there changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import forebay
from feature_specs.errors import ForebayError
from forebay.dbt_project.project import Project
from forebay.scaffold.add_to_project import Edit, apply_edits
from forebay.scaffold.starter import OWN_MACROS, TEMPLATE_NAME, own_macros, project_name
from forebay.scaffold.write_folder import GITIGNORE, refuse_occupied, write_folder

#: The folder of what is imported, under the project's models.
FOLDER = "features/feast"
_SKELETON = ("dbt_project.yml", "profiles/profiles.yml")


@dataclass(frozen=True)
class Place:
    """Where files go.

    Attributes:
        root: the project's.
        folder: theirs, relative to the root.
        is_new: whether the project is made together with them.
    """

    root: Path
    folder: str
    is_new: bool


def find_place(into: Path) -> Place:
    """A dbt project's folder for what is imported, or a new project's.

    Raises:
        ForebayError: it is neither a dbt project nor a new or empty folder.
    """
    if (into / "dbt_project.yml").exists():
        paths = Project(into).settings.get("model-paths") or ["models"]
        return Place(into, f"{paths[0]}/{FOLDER}", is_new=False)
    refuse_occupied(into)
    return Place(into, f"models/{FOLDER}", is_new=True)


def place_files(place: Place, files: Mapping[str, str]) -> None:
    """Write all of the files, or none.

    Args:
        files: content by the name in the place's folder.

    Raises:
        ForebayError: a file, or a model of one of the names, is there already.
    """
    refuse_taken(place, files)
    placed = {f"{place.folder}/{name}": text for name, text in files.items()}
    if place.is_new:
        made = {name: text.encode() for name, text in placed.items()}
        write_folder(place.root, {**_skeleton(place.root), **made})
    else:
        apply_edits([Edit(place.root / name, None, text) for name, text in placed.items()])


def refuse_taken(place: Place, files: Mapping[str, str]) -> None:
    """Refuse to write over a file, or beside a model of the same name.

    Raises:
        ForebayError: names all that is there.
    """
    if place.is_new:
        project_name(place.root)
        return
    models = {Path(name).stem for name in files if name.endswith(".sql")}
    there = [place.root / place.folder / name for name in files]
    taken = {path for path in there if path.exists()}
    for folder in Project(place.root).settings.get("model-paths") or ["models"]:
        for path in (place.root / str(folder)).rglob("*"):
            if path.suffix in (".sql", ".py") and path.stem in models:
                taken.add(path)
    if taken:
        shown = ", ".join(str(path.relative_to(place.root)) for path in sorted(taken)[:5])
        more = f" and {len(taken) - 5} more" if len(taken) > 5 else ""
        raise ForebayError(
            f"it has {shown}{more} already, and nothing is written over",
            where=str(place.root),
            hint="remove or rename them, or name a new folder by --into",
        )


def _skeleton(root: Path) -> dict[str, bytes]:
    """The starter's settings under the folder's name."""
    name = project_name(root)
    template = Path(forebay.__file__).parent / "templates" / "starter"
    files = {
        file: re.sub(rf"\b{TEMPLATE_NAME}\b", name, (template / file).read_text()).encode()
        for file in _SKELETON
    }
    return {**files, OWN_MACROS: own_macros(), ".gitignore": GITIGNORE.encode()}
