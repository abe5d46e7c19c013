"""The compiled SQL of a project on disk: one readable file a view, engine and variant."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from feature_specs.deltas import Deltas, Edge
from feature_specs.errors import ForebayError

_MEND = "run `forebay compile`"

#: The file that says which rows the deltas are made of, and their statements, a file each.
_DELTAS = "deltas.json"
_OF_DELTAS = ("fold", "deltas", "finish")


@dataclass(frozen=True)
class ViewPlan:
    """The statements that maintain one feature table.

    Attributes:
        create: all rows of F(D, T); parameter ``$as_of``.
        touched: keys that may have changed since T0; ``$before`` and ``$as_of``; None for all.
        step: the rows of the keys in ``forebay_touched``; ``$as_of``.
        features: the author's columns over the stored ones; ``$as_of``.
        deltas: how running sums in the table take the place of ``touched`` and ``step``; None
            where they cannot.
    """

    create: str
    touched: str | None
    step: str
    features: str
    deltas: Deltas | None = None


def plan_folder(folder: Path, view: str, engine: str = "duckdb") -> Path:
    return folder / "sql" / engine / view


def plan_files(statements: Mapping[str, str], deltas: Deltas | None = None) -> dict[str, str]:
    """The files of a view's plan, name to text."""
    files = {f"{name}.sql": sql for name, sql in statements.items()}
    if deltas is not None:
        known = asdict(deltas)
        files |= {f"{name}.sql": known.pop(name) for name in _OF_DELTAS}
        files[_DELTAS] = json.dumps(known, indent=1)
    return files


def write_plan(folder: Path, view: str, files: Mapping[str, str]) -> None:
    """Write the files of a view's plan; files of other names go."""
    home = plan_folder(folder, view)
    home.mkdir(parents=True, exist_ok=True)
    for old in [*home.glob("*.sql"), *home.glob("*.json")]:
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        path = home / name
        if not path.exists() or path.read_text() != text + "\n":
            path.write_text(text + "\n")


def read_statement(folder: Path, view: str, name: str) -> str:
    """One statement of a view, or of a service, by file name.

    Raises:
        ForebayError: it is not there.
    """
    path = plan_folder(folder, view) / f"{name}.sql"
    try:
        return path.read_text()
    except FileNotFoundError:
        raise ForebayError("compiled SQL is missing", where=str(path), mend=_MEND) from None


def read_plan(folder: Path, view: str) -> ViewPlan:
    """The statements that maintain a view's table."""
    touched = plan_folder(folder, view) / "touched.sql"
    return ViewPlan(
        create=read_statement(folder, view, "create"),
        touched=touched.read_text() if touched.exists() else None,
        step=read_statement(folder, view, "step"),
        features=read_statement(folder, view, "features"),
        deltas=_read_deltas(folder, view),
    )


def _read_deltas(folder: Path, view: str) -> Deltas | None:
    path = plan_folder(folder, view) / _DELTAS
    if not path.exists():
        return None
    known = json.loads(path.read_text())
    edges = {n: tuple(Edge(**e) for e in known[n]) for n in ("edges", "starts", "ends")}
    return Deltas(
        leaf=known["leaf"],
        sums=known["sums"],
        fold=read_statement(folder, view, "fold"),
        deltas=read_statement(folder, view, "deltas"),
        finish=read_statement(folder, view, "finish"),
        edges=edges["edges"],
        starts=edges["starts"],
        ends=edges["ends"],
    )


def instants_of(sql: str, as_of: datetime, before: datetime | None = None) -> dict[str, datetime]:
    """The parameters that a statement names, since DuckDB refuses any that it does not."""
    given = {"as_of": as_of, "before": before}
    return {name: at for name, at in given.items() if at is not None and f"${name}" in sql}
