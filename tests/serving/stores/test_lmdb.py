"""What is LMDB's own: URIs, processes killed while they write, maps grown by another process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from feature_specs.errors import ForebayError
from serving.stores import open_store

WRITER = """
import sys
from serving.stores import open_store
store = open_store(sys.argv[1])
def rows():
    for i in range(10_000_000):
        if i == 120_000:
            print("writing", flush=True)
        yield b"v\\0%d" % i, b"new" + b"x" * 500
store.write("v", rows(), [], b"two", replace=True)
"""


def test_a_killed_writer_leaves_the_old_rows(tmp_path: Path) -> None:
    uri = f"lmdb://{tmp_path}/store"
    store = open_store(uri)
    old = [(b"v\0%d" % i, b"old") for i in range(10)]
    store.write("v", old, [], b"one", replace=True)
    with subprocess.Popen([sys.executable, "-c", WRITER, uri], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        # The writer has grown the map by now: this process follows.
        assert store.get_state("v") == b"one"
        writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL
    assert sorted(store.items("v")) == old
    changed = [(b"v\0%d" % i, b"newer") for i in range(3)]
    store.write("v", changed, [], b"three", replace=True)
    assert sorted(store.items("v")) == changed
    assert store.get_state("v") == b"three"
    store.close()


@pytest.mark.parametrize("uri", ["lmdb:relative/folder", "lmdb://host/folder", "redis://x", "x"])
def test_uris_that_mean_nothing(uri: str) -> None:
    with pytest.raises(ForebayError) as caught:
        open_store(uri)
    assert caught.value.mend


def test_reading_before_any_sync(tmp_path: Path) -> None:
    with pytest.raises(ForebayError, match="forebay sync"):
        open_store(f"lmdb://{tmp_path}/none", readonly=True)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ForebayError, match="cannot open the online store"):
        open_store(f"lmdb://{tmp_path}/file/store")


def test_spaces_in_a_path(tmp_path: Path) -> None:
    store = open_store(f"lmdb://{tmp_path}/two%20words")
    store.close()
    assert (tmp_path / "two words" / "data.mdb").exists()
