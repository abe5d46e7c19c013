"""A port that is taken, and hosts that are none: one line that says who and what to write instead."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_specs.errors import ForebayError
from forebay.__main__ import main
from serving.listen import check_free, holder_of, listen
from serving.sync import sync
from tests.serving.project import Project, carriers, instant, make_view


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
        assert f"--port {taken + 1}" in refused.value.mend


def test_a_free_port_is_taken_and_given_back() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert first.get_inheritable()
    check_free("127.0.0.1", port)
    listen("127.0.0.1", port).close()
    assert holder_of(port) is None


@pytest.mark.parametrize(
    ("host", "said"),
    [("no.such.host.invalid", "there is no host"), ("192.0.2.1", "is no address of this machine")],
)
def test_a_host_that_is_not_here(host: str, said: str) -> None:
    with pytest.raises(ForebayError, match=said) as refused:
        listen(host, 0)
    assert refused.value.where == "--host" and "127.0.0.1" in refused.value.mend


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serving_on_a_port_in_use_is_an_error(
    project: Project,
    taken: int,
    workers: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    view = make_view("delays")
    project.add(view)
    project.build(view, carriers({"AA": (0, 0.0)}), instant("07-01T00:00"))
    sync(project.catalog)
    folder = project.folder / "target" / "forebay"
    folder.mkdir(parents=True)
    (folder / "catalog.json").write_text(project.catalog.dumps())
    Path(project.folder / "dbt_project.yml").write_text("name: test\n")
    monkeypatch.chdir(project.folder)
    with pytest.raises(SystemExit) as stop:
        main(["serve", "--port", str(taken), "--workers", workers])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --port: port {taken} of 127.0.0.1 is in use by ")
