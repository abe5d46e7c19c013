"""Check that the run's clock, this machine's and the timestamps of what was written agree."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from feature_specs.instants import from_epoch_us, parse_instant
from forebay.dbt_project.find_root import CLOCK_PLACE
from forebay.dbt_project.project import Project
from forebay.doctor.check import Diagnosis, fail, ok, warn
from forebay.doctor.check_project import compiled
from forebay.doctor.check_space import local_folders
from lakehouse.lake import find_table, open_lake, read_state, table_names

CHECK = "clock"
#: Clocks of machines that are kept by NTP are closer than this.
TOLERANCE = timedelta(seconds=60)
#: A var of today's may be the instant of a scheduled run.
_TODAY = timedelta(days=1)


def check_clock(project: Project, now: datetime | None = None) -> Iterator[Diagnosis]:
    """Check the clock that a run of this project would use.

    Args:
        now: the machine's own.
    """
    real = now or datetime.now(UTC)
    if project.now is None:
        yield ok(CHECK, f"runs are at the present: {real:%Y-%m-%d %H:%M:%SZ}")
        return
    at = parse_instant(project.now, where=CLOCK_PLACE)
    if at > real + TOLERANCE:
        yield fail(
            CHECK,
            f"var forebay_now in dbt_project.yml is {project.now}, which is still to come: rows of "
            "the future would count",
            "take the var out, or set an instant that has been",
        )
    elif real - at > _TODAY:
        yield warn(
            CHECK,
            f"var forebay_now in dbt_project.yml is {project.now}, {_ago(real - at)} ago: every run "
            "is at that instant, no later row counts, and features are served as of it",
            "take the var out unless the data are of that time, as the example's are",
        )
    else:
        yield ok(CHECK, project.clock_line())


def check_written(project: Project, now: datetime | None = None) -> Iterator[Diagnosis]:
    """Check that nothing in the lake was written, or computed, in the future.

    Args:
        now: the machine's own clock.
    """
    real = now or datetime.now(UTC)
    lake = open_lake(project.lake)
    late: list[str] = []
    ahead: list[str] = []
    for name in table_names(lake):
        table = find_table(lake, name)
        head = None if table is None else table.current_snapshot()
        if table is None or head is None:
            continue
        if from_epoch_us(head.timestamp_ms * 1000) > real + TOLERANCE:
            late.append(name)
        state = read_state(table)
        catalog = compiled(project)
        clock = None if catalog is None else catalog.now
        if state is not None and clock is None and from_epoch_us(state.at) > real + TOLERANCE:
            ahead.append(f"{name} (as of {from_epoch_us(state.at):%Y-%m-%d %H:%M:%SZ})")
    if late:
        yield fail(
            CHECK,
            f"this machine's clock, {real:%Y-%m-%d %H:%M:%SZ}, is behind the last commit of "
            f"{', '.join(late)}",
            "set this clock, or the one of the machine that wrote them, by NTP",
        )
    if ahead:
        yield warn(
            CHECK,
            f"computed for an instant to come: {', '.join(ahead)}",
            "a build at an earlier instant computes these in full; look at --now of the last build",
        )


def check_files(project: Project) -> Iterator[Diagnosis]:
    """Check that the file systems written to agree with this machine's clock, as NFS may not."""
    for what, folder in local_folders(project):
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            continue  # told by another check
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".forebay_doctor_") as file:
            written = datetime.fromtimestamp(Path(file.name).stat().st_mtime, UTC)
            apart = abs(written - datetime.now(UTC))
        if apart > TOLERANCE:
            yield fail(
                CHECK,
                f"the {what}, {folder}, is on a file system whose clock is {_ago(apart)} apart",
                "set that server's clock by NTP: `forebay maintain` goes by the ages of files",
            )


def _ago(length: timedelta) -> str:
    if length >= timedelta(days=2):
        return f"{length.days:,} days"
    return f"{length.total_seconds() / 3600:.1f} hours"
