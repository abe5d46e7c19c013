"""``python -O`` drops assert statements: nothing that a user relies on may stand in one."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGES = ("feature_specs", "lineage", "lakehouse", "serving", "forebay")


@pytest.mark.slow
def test_the_proof_is_made_under_optimization() -> None:
    run = subprocess.run(
        [sys.executable, "-O", "-m", "tests.feature_specs.under_optimization"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]


def _modules() -> Iterator[tuple[Path, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path, ast.parse(path.read_text())


def _computed() -> set[str]:
    """Names of attributes that are computed when they are read."""
    return {
        node.name
        for _, module in _modules()
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef)
        and any("property" in ast.unparse(d) for d in node.decorator_list)
    }


def _does_something(test: ast.expr, computed: set[str]) -> bool:
    for node in ast.walk(test):
        if isinstance(node, ast.Call) and ast.unparse(node.func) != "isinstance":
            return True
        if isinstance(node, ast.Attribute) and node.attr in computed:
            return True
        if isinstance(node, (ast.NamedExpr, ast.Await)):
            return True
    return False


def _only_narrows(test: ast.expr) -> bool:
    """Tells mypy a type: ``x is not None``, ``isinstance(x, T)``, or both of several."""
    if isinstance(test, ast.BoolOp):
        return isinstance(test.op, ast.And) and all(map(_only_narrows, test.values))
    if isinstance(test, ast.Compare):
        return isinstance(test.ops[0], ast.IsNot) and ast.unparse(test.comparators[0]) == "None"
    return isinstance(test, ast.Call)


def test_asserts_narrow_types_and_do_nothing_else() -> None:
    computed = _computed()
    assert {"certificate", "role"} <= computed
    found = [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node.test)
        for path, module in _modules()
        for node in ast.walk(module)
        if isinstance(node, ast.Assert)
    ]
    assert len(found) > 10
    wrong = [w for w, test in found if _does_something(test, computed) or not _only_narrows(test)]
    assert not wrong, wrong


@pytest.mark.parametrize(
    ("written", "allowed"),
    [
        ("x is not None", True),
        ("isinstance(x, int) and y.z is not None", True),
        ("view.certificate is not None", False),
        ("made() is not None", False),
        ("(x := made) is not None", False),
        ("len(rows) == 1", False),
    ],
)
def test_the_rule_itself(written: str, allowed: bool) -> None:
    test = ast.parse(written, mode="eval").body
    assert (_only_narrows(test) and not _does_something(test, {"certificate"})) is allowed
