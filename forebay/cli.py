"""The list of commands. Each command's module is imported when it is run, so that help is quick."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click

#: Command to its one-line help, in the order in which a project needs them. Module names match, but for a word of Python's own: import_.
COMMANDS = {
    "init": "Make a new project that runs at once.",
    "import": "Write another feature store's features as a dbt project.",
    "ingest": "Load a file, or the example's flights, into Iceberg.",
    "tables": "List the lake's tables, or show one of them.",
    "drop": "Drop an Iceberg table and its files.",
    "maintain": "Keep the lake's tables small: expire snapshots, delete what nothing needs.",
    "erase": "Erase an entity everywhere, and prove it.",
    "plan": "Show what changed since the last build, and what that touches.",
    "compile": "Compile features into variants, catalog and macros.",
    "explain": "Show how a view is compiled, why, and why it cannot leak.",
    "lineage": "Show what a feature is made of, and what a raw column reaches.",
    "why": "Show where a value comes from: its source rows, and each one's part.",
    "preview": "Show one feature vector with the rows it came from.",
    "build": "Compile, then dbt build: feature tables land in Iceberg.",
    "backfill": "Write a view's history as of each of many instants.",
    "compare": "Compare two versions of a view as built: how many values differ, and why.",
    "switch": "Switch a view back to the rows of its earlier definition.",
    "advance": "Step feature tables through time by their incremental variant.",
    "spine": "Write a spine of every entity at regular instants.",
    "train": "Write a point-in-time training set to Parquet.",
    "sql": "Print a training set's statement for DuckDB, Trino or Spark.",
    "sync": "Load feature tables into the online store.",
    "serve": "Serve the lookup API, the catalogue page and metrics.",
    "keys": "Create, list and revoke API keys of a server.",
    "stream": "From Kafka to Iceberg, each event once, and features online.",
    "replay": "Play the example's flights through a broker, and watch features change.",
    "verify": "Check that online equals offline and is fresh.",
    "monitor": "Check parity, freshness and drift; metrics and alerts.",
    "served": "Commit the log of served vectors, and compare it with training.",
    "catalogue": "Write the catalogue of features as a static site.",
    "docs": "Generate dbt's documentation site, and serve it.",
    "doctor": "Check the project and what it stands on, and say what to do.",
    "demo": "Run everything on a year of flights.",
}


class NoPipeError(Exception):
    """A broken pipe, which click would else make a silent exit code 1 of, whosever pipe it was."""


@contextmanager
def _telling_of_pipes() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise NoPipeError from error


class _Lazy(click.Group):
    def make_context(self, *args: Any, **options: Any) -> click.Context:
        with _telling_of_pipes():  # help is written here
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _telling_of_pipes():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        # A module is not named by a word of Python's own.
        name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        module = import_module(f"forebay.commands.{name}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from feature_specs.errors import did_you_mean

        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(
                f"no command is named {args[0]!r}. Hint: {did_you_mean(args[0], COMMANDS)}", ctx
            )
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="forebay", message="%(version)s")
def forebay() -> None:
    """One dbt SQL model per feature view; its batch, incremental, point-in-time and online forms are
    compiled from it.

    Exit codes: 0 done, 1 a check found something, 2 an error that you can fix, 70 a bug of forebay's,
    141 nobody reads the output any more.
    FOREBAY_DEBUG=1 shows the traceback of an error.
    Completion: eval "$(_FOREBAY_COMPLETE=bash_source forebay)".
    """
