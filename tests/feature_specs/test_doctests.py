"""The examples in docstrings run, and every pass and rewrite has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

from tests.feature_specs.passes import NO_TEXT, OPERATORS, Step, show, stages

ROOT = Path(__file__).parents[2]
FOLDERS = ("feature_specs", "lineage", "lakehouse", "serving", "forebay", "tests/mutation")
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
    if ">>> " in path.read_text()
]
STEPS = [
    step
    for steps in stages().values()
    for step in steps
    if step.__name__ not in NO_TEXT and step not in OPERATORS
]


@pytest.mark.parametrize("name", MODULES)
def test_its_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    examples = doctest.DocTestFinder().find(module, extraglobs={"show": show})
    runner = doctest.DocTestRunner(verbose=False)
    for example in examples:
        runner.run(example)
    done = runner.summarize(verbose=False)
    assert done.attempted and not done.failed


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.__name__)
def test_every_pass_and_rewrite_has_an_example(step: Step) -> None:
    assert f">>> show({step.__name__}" in (doc := inspect.getdoc(step) or "").replace(
        ">>> show(\n...     ", ">>> show("
    ), doc
