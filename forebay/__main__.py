"""Entry point: runs a command and turns every user's mistake into one line and exit code 2."""

from __future__ import annotations

import logging
import sys

import click

from feature_specs.errors import ForebayError
from forebay.cli import forebay


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. Exits 0 when done, 1 when a check found something, 2 on an error."""
    # SQLGlot warns of dialect differences that the compiler has decided about already.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        code = forebay.main(args=arguments, prog_name="forebay", standalone_mode=False)
    except ForebayError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        mend = f" Hint: run `{where or 'forebay'} --help`"
        click.echo(f"error: {error.format_message().rstrip('.')}.{mend}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
