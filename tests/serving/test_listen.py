"""A port that is taken, and hosts that are none: one line that says who and what to write instead."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from feature_specs.errors import ForebayError
from forebay.__main__ import main
from serving.listen import check_free, for_workers, holder_of, listen
from tests.forebay.small import PROFILES
from tests.serving.project import Project, instant


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which this very process listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_a_port_in_use_says_by_whom(taken: int) -> None:
    assert f"(PID {os.getpid()})" in str(holder_of(taken))
    for work in (listen, check_free):
        with pytest.raises(ForebayError) as refused:
            work("127.0.0.1", taken)
        assert f"port {taken} of 127.0.0.1 is in use by " in refused.value.what
        assert f"(PID {os.getpid()})" in refused.value.what
        assert f"--port {taken + 1}" in refused.value.hint


def test_a_free_port_is_taken_and_given_back() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert first.get_inheritable()
    check_free("127.0.0.1", port)
    listen("127.0.0.1", port).close()
    assert holder_of(port) is None


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("no.such.host.invalid", "there is no host"),
        ("192.0.2.1", "is not an address of this machine"),
    ],
)
def test_a_host_that_is_not_here(host: str, said: str) -> None:
    with pytest.raises(ForebayError, match=said) as refused:
        listen(host, 0)
    assert refused.value.where == "--host" and "127.0.0.1" in refused.value.hint


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serving_on_a_port_in_use_is_an_error(
    project: Project,
    taken: int,
    workers: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project.sync_delays(0, instant("07-01T00:00"))
    folder = project.folder / "target" / "forebay"
    folder.mkdir(parents=True)
    (folder / "catalog.json").write_text(project.catalog.dumps())
    (project.folder / "dbt_project.yml").write_text("name: test\nprofile: shop\n")
    (project.folder / "profiles.yml").write_text(PROFILES)
    monkeypatch.chdir(project.folder)
    with pytest.raises(SystemExit) as stop:
        main(["serve", "--port", str(taken), "--workers", workers])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --port: port {taken} of 127.0.0.1 is in use by ")


def test_connections_are_spread_over_the_workers_sockets() -> None:
    shared = for_workers(listen("127.0.0.1", 0))
    address = shared.getsockname()
    # As a worker process gets it.
    workers = [pickle.loads(pickle.dumps(shared)) for _ in range(2)]
    try:
        for worker in workers:
            worker.listen()
            worker.setblocking(False)
        clients = [socket.create_connection(address) for _ in range(60)]
        taken = [_accepted(worker) for worker in workers]
        for client in clients:
            client.close()
        assert sum(taken) == 60 and min(taken) > 0
        with pytest.raises(ForebayError, match="is in use"):
            listen("127.0.0.1", address[1])
    finally:
        for one in (shared, *workers):
            one.close()


def _accepted(worker: socket.socket) -> int:
    count = 0
    with suppress(BlockingIOError):
        while True:
            worker.accept()[0].close()
            count += 1
    return count
