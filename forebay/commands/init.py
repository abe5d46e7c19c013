"""forebay init."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from feature_specs.errors import ForebayError
from forebay.terminal import say

#: What the example project consists of, relative to its root.
PARTS = ("models", "macros", "profiles", "tests/dbt", "dbt_project.yml")


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
def init_command(path: Path) -> None:
    """Make a dbt project at PATH: the flights example, ready to build and to change."""
    copy_example(path)
    say(f"made {path}. Next:")
    say(
        f"  cd {path}\n  forebay ingest --example flights\n  forebay build\n  forebay sync\n  forebay serve"
    )


def copy_example(path: Path) -> None:
    """Copy the example project into a new or empty folder; the folder appears whole.

    Raises:
        ForebayError: something is there already.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ForebayError(
            "something is there already", where=str(path), mend="name a new or an empty folder"
        )
    source = example_root()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for part in PARTS:
        target = partial / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target, ignore=shutil.ignore_patterns(".gitkeep"))
        else:
            shutil.copy2(source / part, target)
    (partial / ".gitignore").write_text("target/\nlogs/\nlake/\nonline.lmdb/\n.user.yml\n")
    if path.exists():
        path.rmdir()
    partial.rename(path)


def example_root() -> Path:
    """Where the example stands: inside an installed package, else the root of this repository."""
    import forebay

    home = Path(forebay.__file__).parent
    packaged = home / "example"
    return packaged if packaged.exists() else home.parent
