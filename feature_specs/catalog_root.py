"""Whether a catalog was compiled in the folder that it is read in."""

from __future__ import annotations

from pathlib import Path

from feature_specs.catalog import Catalog
from feature_specs.errors import ForebayError


def stands_in(catalog: Catalog, root: Path) -> bool:
    """Whether the lake and online store that were compiled in are this folder's own."""
    was = Path(catalog.root)
    if not catalog.root or was.resolve() == root.resolve():
        return True
    named = [catalog.online, *(catalog.lake.get(name, "") for name in ("uri", "warehouse"))]
    inside = any(place in uri for uri in named for place in (f"//{was}/", f"{was.as_uri()}/"))
    return not inside or (was.exists() and was.samefile(root))


def check_root(catalog: Catalog, root: Path) -> None:
    """Refuse what was compiled in another folder, whose lake or online store it names.

    Raises:
        ForebayError: the project was copied or moved since.
    """
    if not stands_in(catalog, root):
        raise ForebayError(
            f"it was compiled in {catalog.root}, and names the lake and online store there",
            where=str(root / "target" / "forebay" / "catalog.json"),
            hint='run `forebay compile`; docs/lake.md, "Copying or moving a project"',
        )
