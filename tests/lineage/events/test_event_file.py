"""The file of events: whole lines whatever is killed, and never more than its share of the disk."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

from lineage.events.event_file import KEEP, EventFile


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_events_are_appended(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "openlineage")
    file.send(['{"a":1}', '{"a":2}'])
    EventFile(tmp_path / "openlineage").send(['{"a":3}'])
    assert lines(file.path) == ['{"a":1}', '{"a":2}', '{"a":3}']


def test_a_line_that_a_killed_process_left_is_ended(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.send(['{"a":1}'])
    with file.path.open("a") as broken:
        broken.write('{"a":')
    file.send(['{"a":2}'])
    assert lines(file.path) == ['{"a":1}', '{"a":', '{"a":2}']


def test_full_files_are_set_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    file = EventFile(tmp_path, rotate_bytes=20)
    for number in range(20):
        file.send([json.dumps({"number": number})])
    kept = sorted(path.name for path in tmp_path.glob("*.ndjson"))
    assert kept == [*(f"events.{n}.ndjson" for n in range(1, KEEP + 1)), "events.ndjson"]
    numbers = [json.loads(line)["number"] for name in kept for line in lines(tmp_path / name)]
    # Two lines make a file; what is left are the last files in whole.
    assert sorted(numbers) == list(range(20 - 2 * KEEP - 2, 20))
    assert json.loads(lines(file.path)[-1]) == {"number": 19}


def _write(folder: Path, name: int) -> None:
    file = EventFile(folder, rotate_bytes=4_000)
    for number in range(50):
        file.send([json.dumps({"name": name, "number": number, "more": "x" * 20})])


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write, args=(tmp_path, n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    found = [json.loads(x) for path in tmp_path.glob("*.ndjson") for x in lines(path)]
    assert len(found) == 150
    assert {(e["name"], e["number"]) for e in found} == {
        (n, i) for n in range(3) for i in range(50)
    }
