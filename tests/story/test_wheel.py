"""What a wheel installs: one name, whose modules all import."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.story.reader import Reader

pytestmark = pytest.mark.slow

MOVED = ("feature_specs", "lineage", "lakehouse", "serving")
IMPORT_ALL = f"""
import importlib, importlib.util, json, pkgutil, sys
import forebay
names = [m.name for m in pkgutil.walk_packages(forebay.__path__, "forebay.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(json.dumps({{
    "file": forebay.__file__,
    "names": names,
    "loaded": [name for name in {MOVED!r} if name in sys.modules],
    "found": [name for name in {MOVED!r} if importlib.util.find_spec(name)],
}}))
"""


def test_its_only_top_level_name_is_forebay(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"forebay"}
    for name in (
        "forebay/templates/starter/dbt_project.yml",
        "forebay/templates/starter/models/features/card_activity.sql",
        "forebay/example/models/sources.yml",
        "forebay/example/macros/forebay.sql",
        "forebay/lakehouse/macros/feature_view.sql",
    ):
        assert name in names


def test_every_module_imports_and_none_by_a_name_of_the_checkout(reader: Reader) -> None:
    python = reader.bin / "python"
    done = subprocess.run(
        [python, "-c", IMPORT_ALL],
        cwd=reader.folder,
        env=reader.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert Path(said["file"]).is_relative_to(reader.bin.parent)
    assert said["loaded"] == [] and said["found"] == []
    assert len(said["names"]) > 150
    for package in MOVED:
        assert f"forebay.{package}" in said["names"]


def test_the_public_names_come_from_forebay(reader: Reader) -> None:
    script = (
        "from forebay import FeatureView, Leaf, compile_view\n"
        "view = FeatureView('n', 'select k, count(*) as n from e group by k', ['k'])\n"
        "leaf = Leaf('e', {'k': 'VARCHAR', 'ts': 'TIMESTAMPTZ'}, event_time='ts')\n"
        "print(compile_view(view, [leaf]).certificate is not None)\n"
    )
    (reader.folder / "own.py").write_text(script)
    assert reader.run("python own.py").strip() == "True"
