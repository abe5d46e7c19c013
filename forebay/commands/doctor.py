"""forebay doctor."""

from __future__ import annotations

from dataclasses import asdict

import click

from feature_specs.counted import counted
from forebay.options import json_option, target_option
from forebay.terminal import emit_json, say


@click.command(epilog="Example: forebay doctor --strict")
@click.option("--strict", is_flag=True, help="Exit with code 1 for warnings too.")
@target_option
@json_option
def doctor_command(strict: bool, target: str | None, as_json: bool) -> int:
    """Diagnose the project: its profile, lake, online store, installed versions, clocks, permissions
    and free space, each problem with its remedy. Writes nothing. Exit code 1 if something fails."""
    from forebay.doctor.examine import examine

    found = examine(target)
    failed = sum(f.status == "fail" for f in found)
    warned = sum(f.status == "warn" for f in found)
    if as_json:
        emit_json([asdict(f) for f in found])
    else:
        for finding in found:
            say(f"{finding.status:<5} {finding.check}: {finding.said}")
            if finding.hint:
                say("\n".join(f"      {line}" for line in f"Hint: {finding.hint}".splitlines()))
        say(f"{counted(failed, 'failure')}, {counted(warned, 'warning')}")
    return 1 if failed or (strict and warned) else 0
