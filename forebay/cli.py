"""The list of commands. Each command's module is imported when it is run, so that help is quick."""

from __future__ import annotations

from importlib import import_module

import click

#: Command to its one-line help, in the order in which a project needs them. Module names match.
COMMANDS = {
    "init": "Make a new project that runs at once.",
    "ingest": "Load a file, or the example's flights, into Iceberg.",
    "drop": "Drop an Iceberg table and its files.",
    "plan": "Show what changed since the last build, and what that touches.",
    "compile": "Compile features into variants, catalog and macros.",
    "explain": "Show how a view is compiled, why, and why it cannot leak.",
    "preview": "Show one feature vector with the rows it came from.",
    "build": "Compile, then dbt build: feature tables land in Iceberg.",
    "advance": "Step feature tables through time by their incremental variant.",
    "train": "Write a point-in-time training set to Parquet.",
    "sync": "Load feature tables into the online store.",
    "serve": "Serve the lookup API, the catalogue page and metrics.",
    "verify": "Check that online equals offline and is fresh.",
    "docs": "Generate dbt's documentation site, and serve it.",
    "demo": "Run everything on a year of flights.",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"forebay.commands.{cmd_name}")
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
    """One dbt SQL model a feature view; batch, incremental, point-in-time and online from it.

    Exit codes: 0 done, 1 a check found something, 2 an error that you can mend, 70 a bug of forebay's.
    FOREBAY_DEBUG=1 shows the traceback of an error.
    Completion: eval "$(_FOREBAY_COMPLETE=bash_source forebay)".
    """
