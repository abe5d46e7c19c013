"""Training-serving skew of read-time features, roles, ttl and a stream's rows, and how monitor tells it.

The oracle is the payments themselves, by hand: of each customer the last one, and its age.
"""

from __future__ import annotations

import json
import shutil
import urllib.request
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from feature_specs.instants import epoch_us
from feature_specs.skew_figures import SKEWS, load_skews
from forebay.commands.build import build
from forebay.dbt_project.project import Project, find_project
from lakehouse.lake import load_table, open_lake
from serving.served.commit_spool import commit_spool
from serving.settings import ServeSettings
from serving.state import load_state
from serving.stores import StoredView, open_store
from serving.sync import sync
from tests.forebay.conftest import Shell
from tests.forebay.monitoring.receiver import receiver
from tests.forebay.monitoring.test_monitor import metrics
from tests.forebay.small import VIEWS, edit, make_project
from tests.forebay.why.test_explain_differences import day, pay
from tests.serving.server_process import server_of
from tests.serving.stored_rows import encode_row

#: The last payment, for seven days: its amount, how old it is when asked, and a share of it.
LAST = (
    "select customer, paid_at, amount, "
    "date_diff('hour', paid_at, current_timestamp) as age_h, "
    "amount * {{ request('rate', 'double') }} as charged "
    "from {{ source('raw', 'payments') }}\n"
)
SERVICE = """\
exposures:
  - name: transfer
    type: ml
    owner: {name: Risk}
    depends_on: [ref('spending'), ref('last_payment')]
    config:
      meta:
        feature_service:
          features:
            - spending.spent_60d
            - last_payment.*
            - {view: last_payment, as: payee, keys: {customer: payee}, features: [amount]}
"""


#: When the server was asked.
ANSWERED = (day(10, hour=12), day(16), day(16, hour=2))


def ask(project: Project, at: datetime, folder: Path) -> dict[str, list[Any]]:
    """Ask for b paying a, and c paying b, and commit what was logged."""
    catalog = replace(project.catalog(), now=at.isoformat())
    settings = ServeSettings(log_served=1.0, served_folder=str(folder / "spool"))
    body = {
        "entities": {"customer": ["b", "c"], "payee": ["a", "b"]},
        "request": {"rate": [0.5, 0.5]},
    }
    with server_of(catalog, folder, settings=settings) as server:
        request = urllib.request.Request(
            f"{server.url}/v1/services/transfer/vectors",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answered:
            answer = json.loads(answered.read())
    commit_spool(open_lake(catalog.lake), folder / "spool")
    columns = zip(*answer["vectors"], strict=True)
    return dict(zip(answer["features"], map(list, columns), strict=True))


def put_online_ahead(project: Project, at: datetime) -> None:
    """Write c's last payment online as a stream does that has seen all that is in the lake."""
    catalog = project.catalog()
    view = catalog.view("last_payment")
    leaf = load_table(open_lake(catalog.lake), "raw.payments").current_snapshot()
    assert leaf is not None
    with closing(open_store(catalog.online)) as store:
        state = load_state(store.get_state(StoredView.of(view)))
        assert state is not None
        (name,) = view.leaves
        ahead = replace(state, at=epoch_us(at), leaves={name: leaf.snapshot_id})
        paid_at = epoch_us(day(12))
        row = encode_row(paid_at, ["9"])
        store.write(StoredView.of(view), [(b"c", row)], [], ahead.dumps(), replace=False)


@pytest.mark.slow
def test_skew_of_every_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models, _, _ = VIEWS.partition("exposures:")
    changed = {"models/views.yml": models + SERVICE, "models/last_payment.sql": LAST}
    project = find_project(make_project(tmp_path / "shop", changed))
    build(project, quiet=True)
    sync(project.catalog())
    shell = Shell(project.root, monkeypatch, capsys)

    def told(at: datetime, code: int, *options: str) -> dict[tuple[str, str], tuple[int, int, int]]:
        assert shell.run("monitor", "--now", at.isoformat(), "--json", *options) == code, shell.err
        said = json.loads(shell.out)
        assert not [f for f in said["findings"] if f["status"] == "error"], said["findings"]
        return {
            (s["view"], s["feature"]): (s["values"], s["skewed"], s["broken"]) for s in said["skew"]
        }

    # Everything is as training has it: ages of the instant, what was sent, a role's own keys.
    (first := tmp_path / "1").mkdir()
    at = ANSWERED[0]
    served = ask(project, at, first)
    assert served == {
        "spending__spent_60d": ["140", None],
        "last_payment__amount": [80, None],
        "last_payment__age_h": [60, None],
        "last_payment__charged": [40.0, None],
        "payee__amount": [80, 80],
    }
    features = ("amount", "age_h", "charged")
    every = {("last_payment", name) for name in features}
    every |= {("payee", "amount"), ("spending", "spent_60d")}
    assert told(at, 0, "--last", "1 hour") == dict.fromkeys(every, (2, 0, 0))

    # Payments come; nothing is synced. b's row is too old by its ttl, where training has the new one.
    for moment, customer, amount in ((day(11), "a", 5), (day(14), "b", 7), (day(12), "c", 9)):
        pay(project, moment, customer, amount)
    at = ANSWERED[1]
    (second := tmp_path / "2").mkdir()
    assert ask(project, at, second)["last_payment__amount"] == [None, None]
    with receiver() as slack:
        skewed = told(at, 1, "--last", "1 hour", "--textfile", "skew.prom", "--slack", slack.url)
    late = dict.fromkeys(every, (2, 2, 0)) | {("spending", "spent_60d"): (2, 2, 0)}
    assert skewed == late
    assert "skew payee.amount" in slack.posts[0][1]["text"]
    assert "2 stale sync" in slack.posts[0][1]["text"]
    found = metrics(project.root / "skew.prom")
    assert found["forebay_served_skew_ratio", "amount", "payee"] == 1
    assert found["forebay_served_broken_ratio", "amount", "payee"] == 0
    assert found["forebay_served_rows", "compared", "payee"] == 2
    assert found["forebay_monitor_findings", "skew", "alert"] == 5
    told(at, 0, "--last", "1 hour", "--allow-skew", "1")
    kept = load_skews(project.folder / SKEWS)
    assert {n: (f.values, f.differ) for n, f in kept.items()} == {
        f"{view}:{name}": (2, 2) for view, name in every
    }

    # A stream's rows are right for their own (D, T), and behind once more has come.
    put_online_ahead(project, day(16, hour=1))
    pay(project, day(16, hour=1), "c", 11)
    (third := tmp_path / "3").mkdir()
    at = ANSWERED[2]
    assert ask(project, at, third)["last_payment__amount"] == [None, 9]
    assert shell.run("served", "--now", at.isoformat(), "--last", "1 hour", "--json") == 1
    views = {view["view"]: view for view in json.loads(shell.out)["views"]}
    explained = {
        (e["difference"]["key"][0], e["difference"]["column"]): (
            e["kind"],
            e["difference"]["online"],
        )
        for e in views["last_payment"]["examples"]
    }
    assert explained["c", "amount"] == ("late row", 9)
    shutil.copy(project.folder / SKEWS, third)
    page = server_page(project, third, "/feature/last_payment/amount")
    assert "As it is served" in page and "Of 2 values served as payee" in page
    assert told(at, 1, "--last", "1 hour", "--no-skew") == {}
    hold_the_served_set(project, shell)


def hold_the_served_set(project: Project, shell: Shell) -> None:
    """A training set of the log has what was answered above, and says why training has otherwise."""
    out = project.root / "served.parquet"
    edit(project.root, "dbt_project.yml", "2024-01-10", "2024-01-17")
    assert shell.run("train", "transfer", "--served", "--dry-run") == 0 and not out.exists()
    assert shell.run("train", "transfer", "--served", "--out", str(out)) == 0, shell.err
    rows = sorted(
        pq.read_table(out).to_pylist(), key=lambda row: (row["served_at"], row["customer"])
    )
    names = ("customer", "payee", "rate", "served_at")
    times = [moment for moment in ANSWERED for _ in "bc"]
    assert [tuple(row.pop(name) for name in names) for row in rows] == [
        (customer, payee, 0.5, at)
        for at, (customer, payee) in zip(times, [("b", "a"), ("c", "b")] * 3, strict=True)
    ]
    none = {
        "last_payment__amount": None,
        "last_payment__age_h": None,
        "last_payment__charged": None,
    }
    nobody = {"spending__spent_60d": None, **none, "payee__amount": None}
    b = {"last_payment__amount": 80, "last_payment__age_h": 60, "last_payment__charged": 40.0}
    c = {"last_payment__amount": 9, "last_payment__age_h": 98, "last_payment__charged": 4.5}
    b_after = {**nobody, "spending__spent_60d": 140}
    expected = [
        {**nobody, "spending__spent_60d": 140, **b, "payee__amount": 80},
        {**nobody, "payee__amount": 80},
        b_after, nobody, b_after, {**nobody, **c},
    ]  # fmt: skip
    assert rows == expected

    assert shell.run("verify", "--training", str(out), "--json") == 1
    said = json.loads(shell.out)
    assert (said["rows"], said["values"]) == (6, 30)
    # By hand: of the first instant nothing differs; b's, c's and both payees' payments came later,
    # c's of the 16th at 01:00 after the stream's row of then.
    differing = {
        (d["spine"]["served_at"][:13], d["spine"]["customer"], d["feature"])
        for d in said["differences"]
    }
    assert not {d for d in differing if d[0].startswith("2024-01-10")}
    kinds = {
        (d["spine"]["served_at"][:13], d["spine"]["customer"], d["feature"]): (
            d["recorded"], d["now"], d["why"].partition(", since")[0],
        )
        for d in said["differences"]
    }  # fmt: skip
    assert kinds["2024-01-16 00", "b", "last_payment__amount"] == (None, "7", "stale sync")
    assert kinds["2024-01-16 02", "c", "last_payment__amount"] == ("9", "11", "late row")
    assert "late row" in said["different"]["last_payment__amount"][1]
    assert "log" in shell.refused("train", "--as-recorded", str(out))
    assert "no vector" in shell.refused("train", "transfer", "--served", "--last", "1 hour")


def server_page(project: Project, folder: Path, path: str) -> str:
    with (
        server_of(project.catalog(), folder, settings=ServeSettings()) as server,
        urllib.request.urlopen(f"{server.url}{path}", timeout=30) as answered,
    ):
        return str(answered.read().decode())
