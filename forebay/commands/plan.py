"""forebay plan."""

from __future__ import annotations

from dataclasses import asdict

import click

from feature_specs.errors import ForebayError
from forebay.dbt_project.project import find_project
from forebay.options import (
    SeveralValues,
    full_refresh_option,
    json_option,
    now_option,
    run_instant,
    select_option,
    target_option,
)
from forebay.terminal import complain, emit_json, progress, say


@click.command(
    cls=SeveralValues, several=("--select",), epilog="Example: forebay plan --select card_activity"
)
@now_option
@select_option
@full_refresh_option
@target_option
@click.option(
    "--against",
    metavar="MANIFEST_OR_REF",
    help="Compare with a manifest.json, or with the project at a git ref such as origin/main.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["breaking"]),
    help="Exit with code 1 if the change breaks readers of features.",
)
@click.option("--markdown", is_flag=True, help="Print the sections for a pull request.")
@json_option
def plan_command(
    now: str | None,
    select: tuple[str, ...],
    full_refresh: bool,
    target: str | None,
    against: str | None,
    fail_on: str | None,
    markdown: bool,
    as_json: bool,
) -> int:
    """Show what a build would recompute and whom it touches. Writes nothing. Exit code 2 if a view
    cannot be built; the others are planned.

    Example: forebay plan --against origin/main --fail-on breaking --markdown
    """
    from forebay.planning.against import views_against
    from forebay.planning.plan import make_plan, plan_text
    from forebay.planning.plan_sections import (
        changed_sources,
        plan_sections,
        sections_markdown,
        sections_text,
    )

    project = find_project(target=target)
    at = run_instant(project, now)
    sources = changed_sources(project)
    broken = [s for s in sources if s.breaking]
    try:
        with progress(as_json or markdown) as report:
            old = None if against is None else views_against(project, against)
            plan = make_plan(
                project, at, report, select=select, full_refresh=full_refresh, against=old
            )
    except ForebayError:
        if broken and not as_json:  # which is likely why the project does not compile
            sections = plan_sections([], broken)
            say(sections_markdown(sections) if markdown else sections_text(sections))
        raise
    sections = plan_sections(plan, sources)
    if as_json:
        told = {
            "sections": sections,
            "sources": [{**asdict(s), "breaking": s.breaking} for s in sources],
        }
        emit_json({"views": [asdict(p) for p in plan], **told})
    elif markdown:
        say(sections_markdown(sections))
    else:
        say(plan_text(plan))
        if sections:
            say(f"\n{sections_text(sections)}")
    if complain(dict.fromkeys(p.error for p in plan if p.error)):
        return 2
    return 1 if fail_on and "breaking" in sections else 0
