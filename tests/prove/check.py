"""Hold every variant of one case to the oracle."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, TypeVar

import duckdb

from feature_specs import CompiledView, compile_view
from feature_specs.compile.lowerings.choose_lowering import LOWERINGS
from feature_specs.errors import CompileError, ForebayError
from tests.feature_specs.oracle import Features, Key, Oracle, Row
from tests.prove.case import Case
from tests.prove.disagreement import DisagreementError
from tests.prove.engines import Engines, TimedOutError
from tests.prove.equal import Tolerance, differences
from tests.prove.steps import INCREMENTAL, check_incremental

Status = Literal["agreed", "refused", "failed"]
T = TypeVar("T")
_LIMIT = 30.0
_SOME_TIME = datetime(2024, 3, 1, tzinfo=UTC)


class OracleError(Exception):
    """The drawn SQL does not run by itself, or gives two rows for an entity: fix the grammar."""


@dataclass
class Outcome:
    """What became of a case.

    Attributes:
        kind: of a failure or a refusal; two cases with one kind are likely to have one cause.
        lowerings: chosen first, then each that could be forced.
        values: how many expected values were compared in the chosen variant.
        sql: the variant that failed.
        seconds: by what was done.
        by_key: whether a step recomputes the entities that changed alone; None of one refused.
    """

    name: str
    tags: frozenset[str] = frozenset()
    status: Status = "agreed"
    kind: str = ""
    message: str = ""
    variant: str | None = None
    chosen: str = ""
    lowerings: list[str] = field(default_factory=list)
    values: int = 0
    filled: int = 0
    sql: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    by_key: bool | None = None


def check(case: Case, engines: Engines, only: str | None = None) -> Outcome:
    """Run one case. Only what is no Exception escapes.

    Args:
        only: the one variant to check, by the name that a DisagreementError gives it.
    """
    outcome = Outcome(case.name, case.tags)
    try:
        with engines.within(_LIMIT):
            _Check(case, engines, outcome, only).run()
    except DisagreementError as error:
        outcome.kind, outcome.variant = f"{error.variant}: {error.what}", error.variant
        outcome.sql, outcome.detail = error.sql, error.detail
        _fail(outcome, f"{error}: {error.detail}")
    except OracleError as error:
        outcome.kind = "oracle: " + _shape(str(error))
        _fail(outcome, str(error))
    except TimedOutError as error:
        outcome.kind = "timeout"
        _fail(outcome, str(error))
    except ForebayError as error:
        outcome.status, outcome.message = "refused", str(error)
        outcome.kind = _shape(error.what)
    except Exception as error:  # noqa: BLE001 - whatever a compiler under proof may throw
        outcome.kind = f"{type(error).__name__}: {_shape(str(error))}"
        _fail(outcome, f"{type(error).__name__}: {error}")
    return outcome


def _fail(outcome: Outcome, message: str) -> None:
    outcome.status, outcome.message = "failed", message


def _shape(message: str) -> str:
    """A message without the names and numbers that differ from case to case."""
    first = message.strip().splitlines()[0] if message.strip() else ""
    return re.sub(r"\b(\w+\.)?[a-z_]*\d+\w*\b", "#", first)[:100]


@dataclass
class _Check:
    case: Case
    engines: Engines
    outcome: Outcome
    only: str | None = None

    def run(self) -> None:
        case = self.case
        started = time.perf_counter()
        self.oracle: Oracle = self.engines.load(case)
        self._answers: dict[tuple[datetime, float | None], dict[Key, Features]] = {}
        self._tolerance = Tolerance.of(case)
        self._spent("load", started)
        expected = self._timed("oracle", lambda: [self._expected(row) for row in case.spine])
        self._count(expected)
        compiled = self._timed("compile", lambda: compile_view(case.view, case.leaves))
        self.outcome.chosen = compiled.choice.lowering
        self.outcome.by_key = compiled.incremental().by_key
        self._point_in_time(compiled, expected)
        if not case.lag and self.only in (None, "as-of"):
            self._as_of(compiled)
        if not case.lag and (self.only == INCREMENTAL or (self.only is None and _stepped(case))):
            self._timed("incremental", lambda: check_incremental(case, compiled, self.engines))

    def _point_in_time(self, compiled: CompiledView, expected: Sequence[Features]) -> None:
        lag = self.case.lag or None
        seen: set[str] = set()
        for lowering in (None, *LOWERINGS):
            variant = f"point-in-time by {lowering or 'choice'}"
            if self.only not in (None, variant):
                continue
            started = time.perf_counter()
            try:
                sql = compiled.point_in_time(lowering=lowering, lag=lag)
            except CompileError:
                if lowering is None:
                    raise
                continue
            finally:
                self._spent("write", started)
            self.outcome.lowerings.append(lowering or "chosen")
            if sql not in seen:
                seen.add(sql)
                self._timed("run", partial(self._hold, sql, variant, expected))

    def _hold(self, sql: str, variant: str, expected: Sequence[Features]) -> None:
        """Compare one statement's rows with the spine and the expected features."""
        types, rows = self._query(sql, variant)
        names = list(types)
        kept, features = list(self.case.spine_columns), list(self._types)
        detail: dict[str, Any]
        if names != [*kept, *features]:
            detail = {"actual": names, "expected": [*kept, *features]}
            raise DisagreementError(variant, "columns", sql, detail)
        if {n: types[n] for n in features} != self._types:
            wrong = {n: (types[n], t) for n, t in self._types.items() if types[n] != t}
            raise DisagreementError(variant, "types", sql, {"actual, expected": wrong})
        rows.sort(key=lambda row: int(row[0]))
        if [row[: len(kept)] for row in rows] != list(self.case.spine):
            detail = {"actual": [r[: len(kept)] for r in rows], "expected": list(self.case.spine)}
            raise DisagreementError(variant, "spine rows", sql, detail)
        for row, wanted in zip(rows, expected, strict=True):
            actual = dict(zip(features, row[len(kept) :], strict=True))
            wrong = differences(actual, wanted, self._tolerance)
            if wrong:
                detail = {"spine": row[: len(kept)], "actual, expected": wrong}
                raise DisagreementError(variant, "values", sql, detail)

    def _as_of(self, compiled: CompiledView) -> None:
        """F(D, T) for all entities, at instants that the oracle has answered already."""
        sql: str = self._timed("write", compiled.as_of)
        asked = {row[-2] for row in self.case.spine if row[-2] is not None and row[-1] is None}
        rest = {row[-2] for row in self.case.spine if row[-2] is not None} - asked
        if self.case.asks:
            self.engines.variants.execute("set variable forebay_request_amount = null::double")
        else:
            asked |= rest
        for n, t in enumerate(sorted(asked)[:3]):
            # Now and then with the instant in the text: writing it anew each time would be slow.
            bound = n == 0 and t.minute == 0 and t.hour % 4 == 0
            text = self._timed("write", partial(compiled.as_of, t)) if bound else sql
            self._timed("run", partial(self._hold_as_of, text, t, None if bound else {"as_of": t}))

    def _hold_as_of(self, sql: str, t: datetime, parameters: dict[str, Any] | None) -> None:
        names, rows = self._query(sql, "as-of", parameters)
        mistyped = {n: (names.get(n), t) for n, t in self._types.items() if names.get(n) != t}
        if mistyped:
            raise DisagreementError("as-of", "types", sql, {"actual, expected": mistyped})
        entities = self.case.view.entities
        found = [dict(zip(names, row, strict=True)) for row in rows]
        actual = {tuple(row[e] for e in entities): row for row in found}
        expected = self._at(t, None)
        detail: dict[str, Any] = {"as_of": t}
        if len(actual) != len(rows) or actual.keys() != expected.keys():
            detail |= {"actual": sorted(map(str, actual)), "expected": sorted(map(str, expected))}
            raise DisagreementError("as-of", "keys", sql, detail)
        for key, features in expected.items():
            given = {n: v for n, v in actual[key].items() if n in features}
            wrong = differences(given, features, self._tolerance)
            if wrong:
                detail |= {"key": key, "actual, expected": wrong}
                raise DisagreementError("as-of", "values", sql, detail)

    def _query(
        self, sql: str, variant: str, parameters: dict[str, Any] | None = None
    ) -> tuple[dict[str, str], list[Row]]:
        """Column to type, and the rows."""
        try:
            result = self.engines.variants.execute(sql, parameters)
            return {d[0]: str(d[1]) for d in result.description or []}, result.fetchall()
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            what = f"{type(error).__name__} {_shape(str(error))}"
            raise DisagreementError(variant, what, sql, {"error": str(error)}) from error

    def _expected(self, row: Row) -> Features:
        t, amount, key = row[-2], row[-1], tuple(row[1:-2])
        if t is None or None in key:
            return {}
        return self._at(t, amount).get(key, {})

    def _at(self, t: datetime, amount: float | None) -> Mapping[Key, Features]:
        """The oracle's answer for all keys: one run an instant."""
        sent = amount if self.case.asks else None
        if (t, sent) not in self._answers:
            try:
                answer = self.oracle.at(t, lag=self.case.lag, requests={"amount": sent})
            except duckdb.InterruptException:
                raise
            except (duckdb.Error, AssertionError) as error:
                raise OracleError(f"{type(error).__name__}: {error}") from error
            self._answers[t, sent] = answer
        return self._answers[t, sent]

    def _count(self, expected: list[Features]) -> None:
        """Fill in the nulls of entities without a row, and count the values."""
        if not self._answers:
            self._at(_SOME_TIME, None)  # so that the cut tables are there to be described
        self._types = self._columns()
        for features in expected:
            if not features:
                features |= dict.fromkeys(self._types)
            self.outcome.values += len(features)
            self.outcome.filled += sum(v is not None for v in features.values())

    def _columns(self) -> dict[str, str]:
        """Feature to its SQL type, in the author's order."""
        plain = {*self.case.view.entities, self.case.view.event_time}
        result = self.engines.brute.execute(f"describe {self.case.whole_sql}")
        return {row[0]: row[1] for row in result.fetchall() if row[0] not in plain}

    def _timed(self, what: str, action: Callable[[], T]) -> T:
        started = time.perf_counter()
        try:
            return action()
        finally:
            self._spent(what, started)

    def _spent(self, what: str, started: float) -> None:
        seconds = self.outcome.seconds
        seconds[what] = seconds.get(what, 0.0) + time.perf_counter() - started


def _stepped(case: Case) -> bool:
    """Every third case goes through its steps: they cost as much as all else together."""
    return sum(case.name.encode()) % 3 == 0
