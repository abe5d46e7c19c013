"""The current catalog.json, for a process that runs while others compile."""

from __future__ import annotations

from pathlib import Path

from feature_specs.catalog import Catalog, load_catalog


class CatalogFile:
    """A catalog that is read again only where its file was written anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[int, Catalog] | None = None

    def load(self) -> Catalog:
        """The catalog; the same object as before where the file is as it was.

        Raises:
            ForebayError: as `load_catalog` does.
        """
        try:
            written = self.path.stat().st_mtime_ns
        except FileNotFoundError:
            return load_catalog(self.path)  # which says what to do
        if self._read is None or self._read[0] != written:
            self._read = written, load_catalog(self.path)
        return self._read[1]
