"""Runs tell how they began and ended, and whose part they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lineage.events.encode_event import Dataset
from lineage.events.outbox import Lost
from lineage.events.run import NO_RUN, Job, LongRun, current_run, job_run, new_run_id
from tests.lineage.events.receiver import http_receiver
from tests.lineage.events.schemas import check_event, read_events

pytestmark = pytest.mark.slow

JOB = Job("shop.ingest.raw.a", "INGEST")
WORKTREE = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FOREBAY_OPENLINEAGE_WAIT", "60")
    monkeypatch.chdir(tmp_path)


def refuse(lost: Lost) -> None:
    raise AssertionError(lost)


def states(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["job"]["name"], event["eventType"]) for event in events]


def test_a_run_that_completes(tmp_path: Path) -> None:
    with job_run(JOB, tmp_path, refuse, datetime(2024, 1, 1, tzinfo=UTC)) as run:
        assert current_run() is run
        run.read(Dataset("file", "/a.csv"))
        run.wrote(Dataset("file", "/lake/raw/a"))
    assert current_run() is NO_RUN
    start, complete = read_events(tmp_path)
    assert [e["eventType"] for e in (start, complete)] == ["START", "COMPLETE"]
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert start["job"]["namespace"] == "forebay"
    nominal = complete["run"]["facets"]["nominalTime"]["nominalStartTime"]
    assert nominal == "2024-01-01T00:00:00+00:00"
    assert [d["name"] for d in complete["inputs"] + complete["outputs"]] == [
        "/a.csv",
        "/lake/raw/a",
    ]


def test_a_run_that_fails_says_why_and_has_written_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError), job_run(JOB, tmp_path, refuse) as run:
        run.wrote(Dataset("file", "/lake/raw/a"))
        raise ValueError("cannot open postgresql://bob:hunter2@db/lake")
    *_, fail = read_events(tmp_path)
    assert fail["eventType"] == "FAIL" and fail["outputs"] == []
    message = fail["run"]["facets"]["errorMessage"]["message"]
    assert message == "cannot open postgresql://***@db/lake"


def test_a_run_that_fails_without_raising(tmp_path: Path) -> None:
    with job_run(JOB, tmp_path, refuse) as run:
        run.fail("two views failed")
    assert states(read_events(tmp_path))[-1][1] == "FAIL"


def test_a_run_that_is_interrupted(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), job_run(JOB, tmp_path, refuse):
        raise KeyboardInterrupt
    assert [state for _, state in states(read_events(tmp_path))] == ["START", "ABORT"]


def test_what_is_known_too_late_does_not_fail_a_job(tmp_path: Path) -> None:
    with job_run(JOB, tmp_path, refuse) as run, run.describing():
        raise FileNotFoundError(2, "No such file", "/lake/raw/a")
    *_, complete = read_events(tmp_path)
    assert complete["eventType"] == "COMPLETE"
    errors = complete["run"]["facets"]["extractionError"]["errors"]
    assert "No such file" in errors[0]["errorMessage"]


def test_runs_beneath_a_run(tmp_path: Path) -> None:
    with job_run(JOB, tmp_path, refuse) as whole:
        child = current_run().child(Job("part", "SYNC"))
        with child.going_on():
            below = child.child(Job("part of part", "SYNC"))
            below.tell("START")
    facets = {e["run"]["runId"]: e["run"]["facets"].get("parent") for e in read_events(tmp_path)}
    assert facets[whole.id] is None
    parents = {i: (f["run"]["runId"], f["root"]["run"]["runId"]) for i, f in facets.items() if f}
    assert parents == {child.id: (whole.id, whole.id), below.id: (child.id, whole.id)}


def test_the_run_that_started_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent, root = str(uuid.uuid4()), str(uuid.uuid4())
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"airflow/features/nightly.build/{parent}")
    monkeypatch.setenv("OPENLINEAGE_ROOT_PARENT_ID", f"airflow/features.nightly/{root}")
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "prod")
    with job_run(JOB, tmp_path, refuse):
        current_run().child(JOB).tell("START")
    first, below, _ = read_events(tmp_path)
    told = first["run"]["facets"]["parent"]
    assert told["run"] == {"runId": parent}
    assert told["job"] == {"namespace": "airflow", "name": "features/nightly.build"}
    assert told["root"]["run"] == {"runId": root} == below["run"]["facets"]["parent"]["root"]["run"]
    assert first["job"]["namespace"] == "prod"


@pytest.mark.parametrize("text", ["", "airflow", "airflow/nightly", "airflow/nightly/17"])
def test_a_parent_that_is_none_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", text)
    with job_run(JOB, tmp_path, refuse):
        pass
    assert all("parent" not in e["run"]["facets"] for e in read_events(tmp_path))


def test_a_long_run_tells_one_state_for_all_that_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("lineage.events.run.time.monotonic", lambda: clock[0])
    with job_run(JOB, tmp_path, refuse, kind=LongRun) as run:
        for number in range(100):  # a batch a second
            clock[0] += 1
            with run.child(Job("batch", "STREAM")).going_on() as part:
                part.wrote(Dataset("file", f"/{number % 2}"))
    told = read_events(tmp_path)
    assert {e["job"]["name"] for e in told} == {JOB.name}
    assert [e["eventType"] for e in told] == ["START", *["RUNNING"] * 3, "COMPLETE"]
    assert [d["name"] for d in told[-1]["outputs"]] == ["/0", "/1"]


@pytest.mark.parametrize("word", ["true", "True", " TRUE "])
def test_nothing_is_told_where_the_user_wants_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", word)
    with job_run(JOB, tmp_path, refuse) as run:
        run.wrote(Dataset("file", "/a"))
    assert run is NO_RUN and not (tmp_path / "target").exists()


def test_ids_are_uuids_in_the_order_of_time() -> None:
    ids = [new_run_id() for _ in range(5)]
    assert {uuid.UUID(i).version for i in ids} == {7}
    assert {uuid.UUID(i).variant for i in ids} == {uuid.RFC_4122}
    millis = [uuid.UUID(i).int >> 80 for i in ids]
    assert millis == sorted(millis) and abs(millis[0] / 1000 - datetime.now().timestamp()) < 60


def run_to(url: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> list[Lost]:
    monkeypatch.setenv("OPENLINEAGE_URL", url)
    lost: list[Lost] = []
    with job_run(JOB, root, lost.append) as run:
        run.wrote(Dataset("file", "/lake/raw/a"))
    return lost


def test_events_go_to_a_receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "hunter2")
    with http_receiver() as receiver:
        assert run_to(receiver.url, tmp_path, monkeypatch) == []
    assert states(receiver.events) == [(JOB.name, "START"), (JOB.name, "COMPLETE")]
    assert receiver.headers[0]["Authorization"] == "Bearer hunter2"
    for event in receiver.events:
        check_event(event)
        assert "hunter2" not in json.dumps(event)
    assert not (tmp_path / "target").exists()


def test_a_receiver_that_refuses_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__RETRY", '{"total": 0}')
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "http")
    with http_receiver(status=500) as receiver:
        monkeypatch.setenv("OPENLINEAGE__TRANSPORT__URL", receiver.url)
        (lost,) = run_to(receiver.url, tmp_path, monkeypatch)
    assert receiver.headers and receiver.events == []
    assert (lost.dropped, lost.of) == (2, 2) and lost.receiver == receiver.url
    assert "500" in lost.line()


def test_a_dead_receiver_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREBAY_OPENLINEAGE_WAIT", "0.5")
    with http_receiver() as receiver:
        pass
    (lost,) = run_to(receiver.url, tmp_path, monkeypatch)
    assert (lost.dropped, lost.of) == (2, 2)


def test_a_receiver_that_hangs_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREBAY_OPENLINEAGE_WAIT", "0.5")
    with http_receiver(hangs=True) as receiver:
        (lost,) = run_to(receiver.url, tmp_path, monkeypatch)
        assert receiver.events == []
    assert (lost.dropped, lost.of, lost.reason) == (2, 2, "it is too slow")


def test_a_process_ends_though_its_receiver_hangs(tmp_path: Path) -> None:
    code = (
        "import pathlib\n"
        "from lineage.events.run import Job, job_run\n"
        "with job_run(Job('a', 'SYNC'), pathlib.Path('.'), lambda lost: print(lost.line())):\n"
        "    pass\n"
    )
    with http_receiver(hangs=True) as receiver:
        settings = {
            "OPENLINEAGE_URL": receiver.url,
            "FOREBAY_OPENLINEAGE_WAIT": "0.1",
            "PYTHONPATH": str(WORKTREE),
        }
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **settings},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=50,  # the receiver answers after 60
        )
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("OpenLineage: 2 of 2 events were dropped")


def write_config(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("place", ["openlineage.yml", "home/.openlineage/openlineage.yml"])
def test_openlineages_own_configuration(tmp_path: Path, place: str) -> None:
    out = tmp_path / "own.ndjson"
    text = f"transport: {{type: file, log_file_path: {out}, append: true}}\ntags: {{job: {{team: risk}}}}\n"
    write_config(tmp_path / place, text)
    tagged = Job("a", "SYNC", facets={"tags": {"tags": [{"key": "k", "value": "v"}]}})
    with job_run(tagged, tmp_path, refuse):
        pass
    events = [json.loads(line) for line in out.read_text().splitlines()]
    assert states(events) == [("a", "START"), ("a", "COMPLETE")]
    for event in events:
        check_event(event)
        tags = event["job"]["facets"]["tags"]["tags"]
        assert {(t["key"], t["value"]) for t in tags} == {("k", "v"), ("team", "risk")}


def test_a_projects_configuration_counts_from_its_subfolders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "own.ndjson"
    write_config(
        tmp_path / "openlineage.yml",
        f"transport: {{type: file, log_file_path: {out}, append: true}}\n",
    )
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path / "models")
    with job_run(JOB, tmp_path, refuse):
        pass
    assert len(out.read_text().splitlines()) == 2


def test_a_configuration_without_a_transport_leaves_the_file(tmp_path: Path) -> None:
    write_config(tmp_path / "openlineage.yml", "tags: {job: {team: risk}}\n")
    with job_run(JOB, tmp_path, refuse):
        pass
    assert len(read_events(tmp_path)) == 2


@pytest.mark.parametrize(
    "text",
    [
        "transport: {type: no_such.Thing}\n",
        "transport: [\n",
        "- a\n",
        "transport: {type: http}\n",
        b"\xff\xfe",
    ],
)
def test_a_broken_configuration_fails_no_job(tmp_path: Path, text: str | bytes) -> None:
    (tmp_path / "openlineage.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
    lost: list[Lost] = []
    complain: Callable[[Lost], None] = lost.append
    with job_run(JOB, tmp_path, complain):
        pass
    assert len(lost) == 1 and lost[0].dropped == 2
    assert lost[0].reason != "it is too slow"


def test_a_configuration_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_CONFIG", str(tmp_path / "absent.yml"))
    lost: list[Lost] = []
    with job_run(JOB, tmp_path, lost.append):
        pass
    assert len(lost) == 1 and "absent.yml" in lost[0].reason


def test_a_disk_without_room_fails_no_job(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("in the way")
    lost: list[Lost] = []
    with job_run(JOB, tmp_path, lost.append):
        pass
    assert len(lost) == 1 and lost[0].dropped == 2


def test_openlineage_python_is_not_imported_for_the_file(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\n"
        "from lineage.events.run import Job, job_run\n"
        "with job_run(Job('a', 'SYNC'), pathlib.Path('.'), print):\n"
        "    pass\n"
        "print(sorted(m for m in ('openlineage', 'requests', 'attr', 'yaml') if m in sys.modules))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(WORKTREE)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert len(read_events(tmp_path)) == 2
