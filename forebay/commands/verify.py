"""forebay verify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forebay.complete import complete_view
from forebay.dbt_project.project import Project, find_project
from forebay.options import json_option, now_option, run_instant, target_option
from forebay.terminal import complain, emit_json, say, table

if TYPE_CHECKING:
    from feature_specs.catalog import Catalog
    from forebay.why.explain_differences import Explained
    from serving.verify import VerifyReport


@click.command(epilog="Example: forebay verify card_activity --json")
@click.argument("views", nargs=-1, shell_complete=complete_view)
@click.option(
    "--sample",
    type=click.IntRange(1),
    metavar="N",
    help="Compare a random sample of about N entities per view, and bound the rest; default all.",
)
@click.option(
    "--explain/--no-explain",
    default=True,
    show_default=True,
    help="Explain each difference: its kind, and the source rows behind it.",
)
@click.option(
    "--training",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare a training set with its rows recomputed now, and explain differences.",
)
@now_option
@target_option
@json_option
def verify_command(
    views: tuple[str, ...],
    sample: int | None,
    explain: bool,
    training: Path | None,
    now: str | None,
    target: str | None,
    as_json: bool,
) -> int:
    """Compare online with offline values of VIEWS (default: all). Exit code 1 if any differ, 2 if a view
    cannot be compared; the others still are."""
    if training is not None:
        if views or sample or now:
            raise click.UsageError("--training compares FILE alone, each row as of its own instant")
        return _verify_training(training, target, as_json)
    from forebay.dbt_project.project_changes import tell_changes
    from serving.verify import verify

    project = find_project(target=target)
    at = run_instant(project, now)
    catalog = project.catalog()
    tell_changes(project, catalog, "What was built last is verified")
    reports = verify(catalog, list(views) or None, now=at, sample=sample)
    withheld = _withhold(project, catalog, reports)
    explained = _explain(project, catalog, reports) if explain else []
    code = 1 if any(not r.ok for r in reports) else 0
    if as_json:
        emit_json([_as_json(r, explained) for r in reports])
    else:
        _tell(reports, explained)
    for each in withheld:
        click.echo(f"note: {each}", err=True)
    return 2 if complain(r.error for r in reports if r.error) else code


def _withhold(project: Project, catalog: Catalog, reports: Sequence[VerifyReport]) -> list[str]:
    """Take keys and values of views that are another group's alone out of what is shown."""
    from forebay.own_team import refusals

    refused = refusals(project, catalog, (r.view for r in reports if r.examples))
    for report in reports:
        if report.view in refused:
            report.examples.clear()
    return [f"what differs is not shown: {error}" for error in refused.values()]


def _explain(
    project: Project, catalog: Catalog, reports: Sequence[VerifyReport]
) -> list[Explained]:
    """Explain what differs; a project that does not compile any more leaves it unexplained."""
    if not any(r.examples for r in reports):
        return []
    from feature_specs.library_errors import explain_one, known_errors
    from forebay.why.explain_differences import explain_differences

    try:
        return explain_differences(project, catalog, reports)
    except known_errors() as error:
        complain([f"what differs is not explained: {explain_one(error)}"])
        return []


def _as_json(report: VerifyReport, explained: Sequence[Explained]) -> dict[str, Any]:
    mine = [asdict(e) for e in explained if e.view == report.view]
    more = {"ok": report.ok, "most_wrong": report.most_wrong, "explained": mine}
    return {**asdict(report), **more}


def _tell(reports: Sequence[VerifyReport], explained: Sequence[Explained]) -> None:
    from serving.verify import CONFIDENCE

    rows = [
        (r.view, _verdict(r), r.offline_rows, r.online_rows, r.values, r.different, r.missing,
         r.extra)
        for r in reports
    ]  # fmt: skip
    header = ("view", "verdict", "offline", "online", "values", "different", "missing", "extra")
    say(table(rows, header))
    for report in reports:
        if report.most_wrong is not None:
            say(f"  {report.view}: none of {report.sampled} drawn differs; with "
                f"{CONFIDENCE:.0%} confidence fewer than {report.most_wrong:.4%} of all do")  # fmt: skip
    for report in (r for r in reports if not r.ok):
        mine = [e for e in explained if e.view == report.view]
        for example in report.examples[:3] if not mine else ():
            say(f"  {report.view}: {example}")
        for each in mine[:3]:
            say(f"  {report.view}: {each.difference}: {each.kind}, since {each.why}")
            for cause in each.causes:
                say(f"    {cause.change}: {', '.join(f'{n}={v}' for n, v in cause.row.items())}")
            if each.total > len(each.causes):
                say(f"    and {each.total - len(each.causes)} rows more")


def _verdict(report: VerifyReport) -> str:
    if report.error:
        return "FAILED"
    return "ok" if report.ok else "STALE" if report.equal else "DIFFERS"


def _verify_training(path: Path, target: str | None, as_json: bool) -> int:
    from forebay.training.compare_set import compare_set

    found = compare_set(find_project(target=target), path)
    if as_json:
        emit_json({**asdict(found), "ok": found.ok})
        return 0 if found.ok else 1
    say(f"{path}: {found.rows:,} rows, {found.values:,} values, "
        f"{sum(n for n, _ in found.different.values()):,} differ from those of now")  # fmt: skip
    for name in found.gone:
        say(f"  {name}: there is no such feature any more")
    for name, (number, why) in found.different.items():
        say(f"  {name}: {number:,} differ: {why}")
    for each in found.differences:
        spine = ", ".join(f"{n}={v}" for n, v in each.spine.items())
        say(f"  row {each.row} ({spine}): {each.feature} {each.recorded} -> {each.now}: "
            f"{each.why}")  # fmt: skip
    return 0 if found.ok else 1
