"""What a real server answered, beside training: each value by an oracle of the payments themselves."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from forebay.commands.build import build
from forebay.dbt_project.project import Project, find_project
from forebay.monitoring.compare_served import SkewReport, compare_served
from lakehouse.lake import open_lake
from serving.served.commit_spool import commit_spool
from serving.settings import ServeSettings
from serving.sync import sync
from tests.forebay.small import make_project, run_here
from tests.forebay.why.test_explain_differences import change_store, day, pay
from tests.serving.server_process import server_of
from tests.serving.stored_rows import encode_row

CUSTOMERS = ["a", "b", "c"]
SECRET = b"0123456789abcdef"


def serve(
    project: Project, at: datetime, folder: Path, secret: str | None
) -> dict[str, int | None]:
    """Ask a server of its own for all customers at an instant; the payments that it answered."""
    catalog = replace(project.catalog(), now=at.isoformat())
    settings = ServeSettings(
        log_served=1.0, served_folder=str(folder / "spool"), served_secret=secret
    )
    body = {"entities": {"customer": CUSTOMERS}}
    with server_of(catalog, folder, settings=settings) as server:
        request = urllib.request.Request(
            f"{server.url}/v1/services/fraud/vectors",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answered:
            answer = json.loads(answered.read())
    at_spent = answer["features"].index("spending__spent_60d")
    commit_spool(open_lake(catalog.lake), folder / "spool")
    # JSON has text for integers of 128 bits, which sums are.
    spent = [None if v[at_spent] is None else int(v[at_spent]) for v in answer["vectors"]]
    return dict(zip(CUSTOMERS, spent, strict=True))


def spent(payments: list[tuple[datetime, str, int]], customer: str, at: datetime) -> int | None:
    """The oracle: what the view's words say."""
    start = at - timedelta(days=60)
    amounts = [n for t, c, n in payments if c == customer and start < t <= at]
    return sum(amounts) if amounts else None


def skew(project: Project, at: datetime, secret: bytes | None = None) -> dict[str, SkewReport]:
    found = compare_served(project, at, timedelta(hours=1), secret=secret)
    assert [r.error for r in found] == [None] * len(found)
    return {r.view: r for r in found}


def kinds(report: SkewReport) -> dict[tuple[str, str | None], tuple[str, Any, Any]]:
    return {
        (e.difference.key[0], e.difference.column): (
            e.kind,
            e.difference.offline,
            e.difference.online,
        )
        for e in report.examples
    }


@pytest.mark.slow
def test_skew_of_every_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = find_project(make_project(tmp_path / "shop"))
    payments = [(day(d), c, 10 * d) for d in (1, 2, 3, 8) for c in ("a", "b")]
    build(project, quiet=True)
    sync(project.catalog())
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)

    def at(moment: datetime, hashed: bool = False) -> dict[str, int | None]:
        (folder := tmp_path / moment.strftime("%m%d%H%M")).mkdir()
        return serve(project, moment, folder, str(secret) if hashed else None)

    # Right after the sync nothing differs, be the key known to the view or not.
    fresh = day(10, hour=1)
    assert at(fresh) == {c: spent(payments, c, fresh) for c in CUSTOMERS}
    report = skew(project, fresh)["spending"]
    assert (report.rows, report.compared) == (3, 3)
    assert {f.feature: (f.values, f.skewed) for f in report.features.values()} == {
        "payments_60d": (3, 0),
        "spent_60d": (3, 0),
        "most_60d": (3, 0),
    }

    # A payment comes and is not synced; another one is late.
    pay(project, day(10, hour=12), "c", 7)
    pay(project, day(9), "a", 5)
    payments += [(day(10, hour=12), "c", 7), (day(9), "a", 5)]
    later = day(11)
    served = at(later)
    assert served == {"a": 140, "b": 140, "c": None}
    report = skew(project, later)["spending"]
    expected = {
        (c, "spent_60d"): (kind, spent(payments, c, later), served[c])
        for c, kind in (("a", "late row"), ("c", "stale sync"))
    }
    found = kinds(report)
    assert {key: found[key] for key in expected} == expected
    assert {key[0] for key in found} == {"a", "c"}
    assert report.features["spent_60d"].skewed == 2 and report.features["spent_60d"].broken == 1

    # The command says the same of both times: before the sync a's payment of the 9th is late too.
    monkeypatch.chdir(project.root)
    run_here("served", "--now", later.isoformat(), "--json", code=1)
    told = json.loads(capsys.readouterr().out)
    views = {view["view"]: view for view in told["views"]}
    assert views["spending"]["features"]["spent_60d"] == {
        "feature": "spent_60d", "values": 6, "skewed": 3, "broken": 2,
    }  # fmt: skip
    assert told["files"] == 0, "all was committed above"
    run_here("served", "--now", later.isoformat(), "--allow", "0.5")
    told_so = capsys.readouterr().out
    assert f"training {spent(payments, 'a', later)}, served 140: late row" in told_so, told_so
    run_here("served", "--now", later.isoformat(), "--no-compare")

    # After build and sync all is well again, with hashed keys too; without the secret none is known.
    build(project, now=day(12).isoformat(), quiet=True)
    sync(project.catalog())
    synced = day(12, hour=1)
    assert at(synced, hashed=True) == {c: spent(payments, c, synced) for c in CUSTOMERS}
    report = skew(project, synced, SECRET)["spending"]
    assert (report.compared, report.features["spent_60d"].skewed) == (3, 0)
    report = skew(project, synced)["spending"]
    assert (report.compared, report.unknown) == (0, 3)

    # What was never computed breaks the law; what has left its window has expired.
    change_store(project, [(b"a", encode_row(None, ["5", "999", "80"]))], [])
    old = datetime(2024, 3, 5, tzinfo=UTC)
    assert at(old)["a"] == 999
    report = skew(project, old)["spending"]
    found = kinds(report)
    assert found["a", "spent_60d"] == ("wrong", spent(payments, "a", old), 999)
    assert found["b", "spent_60d"] == ("expired", spent(payments, "b", old), 140)
    assert (report.features["spent_60d"].broken, report.features["payments_60d"].broken) == (1, 0)
