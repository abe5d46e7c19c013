"""Every command's help has examples, and they are commands that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from forebay.cli import COMMANDS, forebay


def all_commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            yield (*path, name)
            if isinstance(command, click.Group):
                yield from all_commands(command, (*path, name))


def command_at(path: tuple[str, ...]) -> click.Command:
    command: click.Command = forebay
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    return command


def examples_of(command: click.Command) -> list[str]:
    text = f"{command.help or ''}\n{command.epilog or ''}"
    _, found, after = text.partition("Example")
    return re.findall(r"forebay [^\n]+", after) if found else []


def parse(words: list[str]) -> click.Command:
    """The command that words name. Files that they name need not be there."""
    depth = next(
        n for n in range(1, 4) if not isinstance(command_at(tuple(words[:n])), click.Group)
    )
    command = command_at(tuple(words[:depth]))
    for parameter in command.params:
        if isinstance(parameter.type, click.Path):
            parameter.type.exists = False
    command.make_context(words[depth - 1], words[depth:])
    return command


@pytest.mark.parametrize("path", list(all_commands(forebay, ())), ids=" ".join)
def test_help_has_an_example_that_parses(path: tuple[str, ...]) -> None:
    command = command_at(path)
    examples = examples_of(command)
    assert examples, f"forebay {' '.join(path)} --help shows no example"
    for example in examples:
        words = shlex.split(example)[1:]
        assert tuple(words[: len(path)]) == path, example
        parse(words)


def test_an_option_that_is_none_is_noticed() -> None:
    with pytest.raises(click.NoSuchOption):
        parse(["sync", "--folow"])


def test_all_are_looked_at() -> None:
    found = {path[0] for path in all_commands(forebay, ())}
    assert found == set(COMMANDS)
