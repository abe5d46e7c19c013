"""forebay init --here."""

from __future__ import annotations

import sys

import click

from feature_specs.errors import ForebayError
from forebay.dbt_project.project import find_project
from forebay.scaffold.add_to_project import apply_edits, plan_edits
from forebay.terminal import say

NEXT = """\
Next: give each table that features read a time role, and make a model a feature view,

  models:
    - name: customer_orders
      config:
        materialized: feature_view
        tags: [feature_view]
        meta: {feature_view: {entities: [customer_id]}}

then run
  forebay compile
  forebay build"""


def add_here(target: str | None, *, yes: bool, dry_run: bool) -> None:
    """Show what would change, ask, and change it.

    Raises:
        ForebayError: there is no project, it cannot be edited, or there is nobody to ask.
    """
    project = find_project(target=target)
    edits = plan_edits(project)
    if not edits:
        say(f"nothing to change: {project.root} has all that forebay needs")
        return
    for edit in edits:
        say(edit.diff(project.root))
    if dry_run:
        say("nothing written (--dry-run)")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise ForebayError(
                "standard input is not a terminal, so nobody was asked and nothing was changed",
                where="forebay init --here",
                hint="say --yes to make these changes, or --dry-run to see them only",
            )
        click.confirm(f"Make these changes in {project.root}?", abort=True)
    apply_edits(edits)
    say(f"changed {len(edits)} files")
    say(NEXT)
