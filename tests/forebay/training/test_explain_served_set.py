"""Why a set of served values differs: keys that are times, names that are aliases, vectors of one instant.

By hand: both customers pay 80 on January 8; a late payment of that day makes it 1160.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feature_specs.instants import epoch_us
from forebay.dbt_project.project import find_project
from tests.forebay.conftest import Shell
from tests.forebay.served_by_hand import answered, log_served
from tests.forebay.small import PROJECT, VIEWS, edit, make_project
from tests.forebay.why.test_why_command import pay

T, FIRST, SECOND = (datetime(2024, 1, day, tzinfo=UTC) for day in (10, 11, 12))
MODELS, _, _ = VIEWS.partition("exposures:")
SERVICE = """\
  - name: by_day
    config:
      materialized: feature_view
      meta: {feature_view: {entities: [bought], aliases: {sum_of: total}}}
exposures:
  - name: days
    type: ml
    owner: {name: Risk}
    depends_on: [ref('by_day')]
    config: {meta: {feature_service: {features: [by_day.sum_of]}}}
"""
CHANGED = {
    "dbt_project.yml": PROJECT.replace("2024-01-10", "2024-01-17"),
    "models/views.yml": MODELS + SERVICE,
    "models/by_day.sql": (
        "select cast(paid_at at time zone 'UTC' as timestamp) as bought, cast(sum(amount) as bigint) as total "
        "from {{ source('raw', 'payments') }} group by cast(paid_at at time zone 'UTC' as timestamp)\n"
    ),
}


@pytest.mark.slow
def test_each_difference_is_explained_by_its_own_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(make_project(tmp_path / "shop", CHANGED), monkeypatch, capsys)
    assert shell.run("compile") == 0, shell.err
    catalog = find_project(shell.folder).catalog()
    key = [str(epoch_us(datetime(2024, 1, 8, tzinfo=UTC)))]

    def serve(service: str, at: datetime, *totals: int) -> None:
        rows = [answered(catalog, "by_day", {"sum_of": n}, T, key=key) for n in totals]
        log_served(catalog, service, at, *([row] for row in rows))

    serve("days", FIRST, 160)
    serve("others", FIRST, 998)
    serve("days", SECOND, 160, 999)
    assert shell.run("train", "days", "--served", "--out", "set.parquet") == 0, shell.err

    def whys(expected: int) -> dict[tuple[int, str], str]:
        """By day and what was served, why training has another value."""
        assert shell.run("verify", "--training", "set.parquet", "--json") == 1, shell.err
        said = json.loads(shell.out)
        assert {d["now"] for d in said["differences"]} == {str(expected)}
        return {
            (datetime.fromisoformat(d["spine"]["served_at"]).day, d["recorded"]): d["why"]
            for d in said["differences"]
        }

    ((place, why),) = whys(160).items()
    assert place == (12, "999") and "it cannot be told" in why and "by_day" in why

    assert shell.run("build", "--now", T.isoformat()) == 0, shell.err
    pay(shell.folder, 8, "c", 1000)
    found = whys(1160)
    assert set(found) == {(11, "160"), (12, "160"), (12, "999")}
    assert found[11, "160"].startswith("late row, since ") and "wrong" not in found[11, "160"]
    # The log does not tell these two apart, so that each is told of both.
    assert found[12, "160"] == found[12, "999"]
    assert "late row, since " in found[12, "160"] and "wrong, since " in found[12, "160"]

    edit(shell.folder, "models/by_day.sql", "sum(amount)", "sum(amount + 0)")
    assert set(whys(1160).values()) == {"feature view by_day was redefined"}
