"""A Trino whose Iceberg catalog is the lake's."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

from trino.auth import Authentication, BasicAuthentication, JWTAuthentication
from trino.dbapi import Connection, Cursor, connect
from trino.exceptions import Error as TrinoError
from trino.exceptions import HttpError, TrinoConnectionError, TrinoQueryError

from feature_specs.errors import DataError, ForebayError, first_line
from feature_specs.progress import Share
from feature_specs.quote import literal
from lakehouse.engines.table_names import TableNames
from lakehouse.watch_share import watch_share

#: What Trino's own pages list these statements under.
SOURCE = "forebay"
#: Errors by which Trino says that a table or a snapshot is not in its catalog.
_NOT_THE_LAKE = {
    "TABLE_NOT_FOUND",
    "SCHEMA_NOT_FOUND",
    "CATALOG_NOT_FOUND",
    "ICEBERG_INVALID_METADATA",
}


@dataclass(frozen=True)
class TrinoSettings:
    """How a Trino is reached.

    Attributes:
        catalog: of Trino, whose tables are the lake's.
        password: of the user, sent over https only.
        place: where all of it is written, for errors.
    """

    host: str
    port: int
    user: str
    catalog: str
    http_scheme: str = "http"
    password: str | None = field(default=None, repr=False)
    jwt: str | None = field(default=None, repr=False)
    verify: bool | str = True
    place: str = "profiles.yml"


class TrinoEngine:
    """One connection, at UTC, of one run."""

    def __init__(self, settings: TrinoSettings, run: str = "") -> None:
        self.names = TableNames("trino", settings.catalog)
        self._settings = settings
        self._connection = _connect(settings, run)
        self._cursor: Cursor | None = None

    def run(self, sql: str, report: Share | None = None) -> list[tuple[Any, ...]]:
        return self._run(sql, report)[1]

    def columns(self, sql: str) -> dict[str, str]:
        return self._run(f"select * from (\n{sql}\n) limit 0", None)[0]

    def _run(self, sql: str, report: Share | None) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
        cursor = self._cursor = self._connection.cursor()
        try:
            with _watched(cursor, report):
                cursor.execute(sql)
                rows = [tuple(row) for row in cursor.fetchall()]
                return {str(d[0]): str(d[1]) for d in cursor.description or []}, rows
        except (TrinoError, TrinoConnectionError, HttpError) as error:
            raise self._explained(error) from None
        except BaseException:
            self.cancel()  # Ctrl-C too: Trino would go on for minutes
            raise
        finally:
            self._cursor = None

    def kill_of(self, run: str) -> None:
        found = self.run(
            "select query_id from system.runtime.queries where state not in ('FINISHED', 'FAILED') "
            f"and source = {literal(_source(run))}"
        )
        for (query,) in found:
            with suppress(ForebayError):  # it may have ended meanwhile
                self.run(f"call system.runtime.kill_query({literal(query)}, 'its client is dead')")

    def cancel(self) -> None:
        cursor = self._cursor
        if cursor is not None:
            with suppress(TrinoError, TrinoConnectionError, HttpError):
                cursor.cancel()

    def close(self) -> None:
        self.cancel()
        self._connection.close()

    def _explained(self, error: Exception) -> ForebayError:
        place = self._settings.place
        if not isinstance(error, TrinoQueryError):
            return ForebayError(
                f"Trino at {self._settings.host}:{self._settings.port} does not answer: "
                f"{first_line(error)[:200]}",
                where=place,
                hint="check host, port, user and password there, and that the server runs",
            )
        what = f"Trino: {first_line(Exception(error.message))}"
        if error.error_name in _NOT_THE_LAKE:
            return DataError(
                what,
                where=f"catalog {self._settings.catalog}",
                hint=f"{place} must name the Trino catalog over this project's lake "
                "(docs/engines.md shows how to set it up)",
            )
        return DataError(
            what,
            where=f"query {error.query_id}",
            hint="see the query in Trino's own pages; `--engine duckdb` computes the same",
        )


def _source(run: str) -> str:
    return f"{SOURCE} {run}".strip()


def _connect(settings: TrinoSettings, run: str) -> Connection:
    auth: Authentication | None = None
    if settings.jwt:
        auth = JWTAuthentication(settings.jwt)
    elif settings.password:
        auth = BasicAuthentication(settings.user, settings.password)
    made: Connection = connect(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        catalog=settings.catalog,
        http_scheme=settings.http_scheme,
        auth=auth,
        verify=settings.verify,
        source=_source(run),
        timezone="UTC",
    )
    return made


def _watched(cursor: Cursor, report: Share | None) -> AbstractContextManager[None]:
    """Report the share of a statement's splits that are done, as Trino counts them."""
    if report is None:
        return nullcontext()
    most = 0.0

    def done() -> float:
        nonlocal most
        share = float((cursor.stats or {}).get("progressPercentage") or 0) / 100
        most = max(most, share)  # more splits may be planned meanwhile
        return most

    return watch_share(done, report)
