"""How an engine names the lake's tables, and a table as it was at a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from feature_specs.errors import DataError
from feature_specs.quote import quoted

if TYPE_CHECKING:
    from feature_specs.compile.engines import Engine  # loads the compiler


@dataclass(frozen=True)
class TableNames:
    """Names in one of an engine's catalogs.

    Attributes:
        catalog: the engine's name of the lake.
    """

    engine: Engine
    catalog: str

    def column(self, name: str) -> str:
        """A name in the engine's quotation marks.

        >>> TableNames("spark", "lake").column("a"), TableNames("trino", "lake").column("a")
        ('`a`', '"a"')
        """
        return f"`{name.replace('`', '``')}`" if self.engine == "spark" else quoted(name)

    def table(self, identifier: str) -> str:
        """One of the lake's tables, by its dotted name there.

        Raises:
            DataError: the engine cannot name it.

        >>> TableNames("trino", "lake").table("raw.events")
        '"lake"."raw"."events"'
        """
        namespace, _, name = identifier.rpartition(".")
        if "." in namespace and self.engine == "trino":
            raise DataError(
                f"table {identifier!r} is in a nested namespace, which Trino does not read",
                where=f"catalog {self.catalog}",
                hint="move it into a namespace of one name",
            )
        return ".".join(map(self.column, (self.catalog, *namespace.split("."), name)))

    def drop(self, identifier: str) -> str:
        """The statement that drops a table with its files, if it is there.

        >>> TableNames("spark", "lake").drop("raw.events")
        'drop table if exists `lake`.`raw`.`events` purge'
        """
        purge = " purge" if self.engine == "spark" else ""  # Spark else leaves the files
        return f"drop table if exists {self.table(identifier)}{purge}"

    def at_snapshot(self, identifier: str, snapshot: int) -> str:
        """SQL, to stand in FROM, of a table as it was at a snapshot.

        >>> TableNames("trino", "lake").at_snapshot("raw.events", 7)
        '"lake"."raw"."events" for version as of 7'
        """
        words = "version as of" if self.engine == "spark" else "for version as of"
        return f"{self.table(identifier)} {words} {snapshot}"
