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
#: The file that says what the view is made of.
DEFINITION = "definition.json"
#: The statement, a comment alone, that stands for ``touched`` where there is none.
WHY_IN_FULL = "why_in_full"
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
        why_in_full: where any key may have changed, what stands in the way and what to write.
        definition: what the view is made of, as JSON, to be kept with its table.
    """

    create: str
    touched: str | None
    step: str
    features: str
    deltas: Deltas | None = None
    why_in_full: str = ""
    definition: str | None = None


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


def statement_file(folder: Path, view: str, name: str) -> Path:
    """Where the text of `planned_statement` stands, if there is one."""
    return plan_folder(folder, view) / f"{name}.sql"


def planned_statement(folder: Path, view: str, name: str) -> str:
    """One statement of a view, or of a service, by file name.

    Raises:
        ForebayError: it is not there.
    """
    path = statement_file(folder, view, name)
    try:
        return path.read_text()
    except FileNotFoundError:
        raise ForebayError("compiled SQL is missing", where=str(path), hint=_MEND) from None


def read_plan(folder: Path, view: str) -> ViewPlan:
    """The statements that maintain a view's table.

    Raises:
        ForebayError: it was not compiled.
    """
    home = plan_folder(folder, view)
    return plan_of({p.name: p.read_text() for p in home.glob("[!.]*")}, home)


def plan_of(files: Mapping[str, str], where: Path | str) -> ViewPlan:
    """A view's plan from the texts of its files.

    Raises:
        ForebayError: one is missing.
    """
    missing = [name for name in ("create", "step", "features") if f"{name}.sql" not in files]
    if missing:
        raise ForebayError(
            f"compiled SQL is missing: {missing[0]}.sql", where=str(where), hint=_MEND
        )
    return ViewPlan(
        create=files["create.sql"],
        touched=files.get("touched.sql"),
        step=files["step.sql"],
        features=files["features.sql"],
        deltas=_deltas_of(files),
        why_in_full=files.get(f"{WHY_IN_FULL}.sql", "").removeprefix("-- ").strip(),
        definition=files.get(DEFINITION, "").strip() or None,
    )


def _deltas_of(files: Mapping[str, str]) -> Deltas | None:
    if _DELTAS not in files:
        return None
    known = json.loads(files[_DELTAS])
    edges = {n: tuple(Edge(**e) for e in known[n]) for n in ("edges", "starts", "ends")}
    return Deltas(
        leaf=known["leaf"],
        sums=known["sums"],
        fold=files["fold.sql"],
        deltas=files["deltas.sql"],
        finish=files["finish.sql"],
        edges=edges["edges"],
        starts=edges["starts"],
        ends=edges["ends"],
    )


def instants_of(sql: str, as_of: datetime, before: datetime | None = None) -> dict[str, datetime]:
    """The values of the parameters in a statement; DuckDB refuses any other."""
    given = {"as_of": as_of, "before": before}
    return {name: at for name, at in given.items() if at is not None and f"${name}" in sql}
