"""Check permissions and free space of everything that is written to."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from forebay.dbt_project.project import Project
from forebay.doctor.check import Diagnosis, fail, ok, warn
from forebay.terminal import size_text
from lakehouse.local_path import is_local, local_path

RIGHTS, SPACE = "permissions", "space"
#: With less than this nothing can be relied on; with less than the other it is time to look.
_TOO_LITTLE, _LITTLE = 200 * 10**6, 2 * 10**9
_SQLITE, _LMDB = "sqlite:///", "lmdb://"


def local_folders(project: Project) -> list[tuple[str, Path]]:
    """The folders that forebay writes to on this machine, by what they are."""
    found = [("project's target folder", project.root / "target")]
    lake = project.lake
    if lake.get("uri", "").startswith(_SQLITE):
        path = Path("/" + lake["uri"].removeprefix(_SQLITE).lstrip("/"))
        found.append(("lake's catalog", path.parent))
    warehouse = lake.get("warehouse", "")
    if warehouse and lake.get("type") != "rest" and is_local(warehouse):
        found.append(("lake's warehouse", Path(local_path(warehouse))))
    if project.online.startswith(_LMDB):
        found.append(("online store", Path(project.online.removeprefix(_LMDB))))
    return found


def check_permissions(project: Project) -> Iterator[Diagnosis]:
    """Check that this user may write where forebay writes, and others may not read secrets."""
    wrong = False
    for what, folder in local_folders(project):
        place = existing(folder)
        if not place.is_dir():
            wrong = True
            yield fail(RIGHTS, f"the {what}, {place}, is not a folder", f"move {place} aside")
        elif not os.access(place, os.W_OK | os.X_OK):
            wrong = True
            yield fail(
                RIGHTS,
                f"the {what}, {place}, cannot be written to by this user",
                f"run as its owner, or let `ls -ld {place}` show that you may write",
            )
    for file in _not_owned(project):
        wrong = True
        yield fail(
            RIGHTS,
            f"{file} cannot be written to, by which another user's run shows",
            f"run as its owner, or `chown` {file.parent} to one user",
        )
    profile = project.profile_target.file
    if profile.exists() and stat.S_IMODE(profile.stat().st_mode) & stat.S_IWOTH:
        wrong = True
        yield warn(
            RIGHTS,
            f"everybody may write {profile}",
            f"run `chmod o-w {profile}`: it names the lake",
        )
    if not wrong:
        yield ok(RIGHTS, "all that forebay writes to can be written to")


def _not_owned(project: Project) -> Iterator[Path]:
    """Files that runs change in place but this user may not write."""
    files = [project.catalog_path]
    for what, folder in local_folders(project):
        if what == "online store":
            files.append(folder / "data.mdb")
        elif what == "lake's catalog":
            files += sorted(folder.glob("*.db"))
    return (f for f in files if f.exists() and not os.access(f, os.W_OK))


def check_space(project: Project) -> Iterator[Diagnosis]:
    """Check free space where forebay writes, temporary files included."""
    places = [*local_folders(project), ("folder of temporary files", Path(tempfile.gettempdir()))]
    seen: dict[int, tuple[int, str]] = {}
    for what, folder in places:
        place = existing(folder)
        said = f"the {what}, {place}"
        seen.setdefault(place.stat().st_dev, (shutil.disk_usage(place).free, said))
    for free, said in seen.values():
        hint = "make room there: `forebay maintain` frees what no reader needs any more"
        if free < _TOO_LITTLE:
            yield fail(SPACE, f"{size_text(free)} are free at {said}", hint)
        elif free < _LITTLE:
            yield warn(SPACE, f"{size_text(free)} are free at {said}", hint)
        else:
            yield ok(SPACE, f"{size_text(free)} are free at {said}")


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that there is."""
    return next(p for p in (folder, *folder.parents) if p.exists())
