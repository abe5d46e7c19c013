"""Lineage of 500 views x 20 features, 200 services and 50 groups: traced cold, read, asked.

    python benchmarks/lineage_scale.py [VIEWS]

Prints processor seconds: what compiling the same views takes to the point where lineage is read
(parsing, names, orders), what tracing them takes, and what one question of `forebay lineage` takes
beside Python's own start. Beside it SQLGlot's own `lineage`, which answers for one column of one
statement, over the same features of the first views.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlglot import exp
from sqlglot.lineage import lineage as sqlglot_lineage

from feature_specs.catalog import Catalog, Column, Feature, LeafEntry, ServiceEntry, ViewEntry
from feature_specs.compile.compiler import PASSES
from feature_specs.compile.draft import Draft
from feature_specs.leaf import Leaf, leaf_key
from feature_specs.view import FeatureView
from lineage.follow_columns import follow_columns
from lineage.project_lineage import ProjectLineage, load_project_lineage, project_lineage
from lineage.view_lineage import ViewLineage
from lineage.walk import Graph

FEATURES, SERVICES, GROUPS, SOURCES = 20, 200, 50, 25
TZ = "TIMESTAMP WITH TIME ZONE"
T = TypeVar("T")
_STEPS = [p for p in PASSES if p.__name__ not in ("note_visibility", "form_intervals")]


def leaf_of(number: int) -> Leaf:
    columns = {"k": "VARCHAR", "ts": TZ, **{f"x{n}": "DOUBLE" for n in range(12)}}
    return Leaf(f"raw.events{number % SOURCES}", columns, event_time="ts")


def view_of(number: int) -> FeatureView:
    """A view over a staging model: sums and counts over windows, each of other columns."""
    items = [
        f"{('sum', 'avg', 'max', 'count')[n % 4]}(x{n % 12}) filter (where ts > current_timestamp "
        f"- interval '{n % 30 + 1}' day and x{(n + number) % 12} > {n}) as f{n}"
        for n in range(FEATURES)
    ]
    leaf = f"raw.events{number % SOURCES}"
    return FeatureView(
        f"view{number}",
        f"select k, {', '.join(items)} from stg{number % SOURCES} where x1 > 0 group by k",
        ("k",),
        models={
            f"stg{number % SOURCES}": f"select *, x0 + x1 as x12 from {leaf} where k is not null"
        },
    )


def prepared(number: int) -> Draft:
    leaf, view = leaf_of(number), view_of(number)
    spelled = {leaf_key(leaf.name): {c: c for c in leaf.columns}}
    draft = Draft(view, "duckdb", {leaf.name: leaf}, spelled=spelled)
    for step in _STEPS:
        draft = step(draft)
    return draft


def catalog_of(views: int) -> Catalog:
    entries = {
        f"view{n}": ViewEntry.of(
            f"view{n}",
            f"main.view{n}",
            semantic_hash=f"{n:032x}",
            entities=[Column("k", "VARCHAR")],
            stored=[],
            features=[Feature(f"f{i}", "DOUBLE") for i in range(FEATURES)],
            owner=f"group{n % GROUPS}@example.com",
        )
        for n in range(views)
    }
    services = {
        f"service{n}": ServiceEntry(
            f"service{n}",
            tuple((f"view{(n * 7 + i) % views}", f"f{i}") for i in range(FEATURES)),
            f"group{n % GROUPS}@example.com",
        )
        for n in range(SERVICES)
    }
    leaves = {
        leaf.name: LeafEntry(leaf.name, leaf.name, leaf.name, "event", columns=leaf.columns)
        for leaf in map(leaf_of, range(SOURCES))
    }
    return Catalog("big", {}, "", leaves=leaves, views=entries, services=services)


def timed(what: str, action: Callable[[], T]) -> T:
    started = time.process_time()
    result = action()
    print(f"{time.process_time() - started:9.3f} s  {what}")
    return result


def main() -> None:
    views = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    print(f"{views} views x {FEATURES} features, {SERVICES} services, {GROUPS} groups")
    drafts = timed(
        "parse and normalize (part of compile)", lambda: list(map(prepared, range(views)))
    )
    found: dict[str, ViewLineage] = timed(
        "trace all columns, cold", lambda: {d.view.name: follow_columns(d) for d in drafts}
    )
    whole: ProjectLineage = timed(
        "put the project's lineage together",
        lambda: project_lineage(catalog_of(views), found, {}, {}),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "target" / "forebay" / "lineage.json"
        path.parent.mkdir(parents=True)
        timed("write lineage.json", lambda: path.write_text(whole.dumps()))
        print(f"{path.stat().st_size / 1e6:9.3f} MB lineage.json")
        graph = Graph(timed("read it", lambda: load_project_lineage(path)))
        start = graph.find("raw.events3.x1")
        timed("all downstream of one column", lambda: graph.walk(start, "downstream"))
        feature = graph.find("view3.f1")
        timed("all upstream of one feature", lambda: graph.walk(feature, "upstream"))
        (Path(folder) / "dbt_project.yml").write_text("name: big\nprofile: big\n")
        for words in ([], ["lineage", "raw.events3.x1", "--downstream"]):
            _command(Path(folder), words)
    _beside_sqlglot(drafts[:2])


def _command(folder: Path, words: list[str]) -> None:
    """Processor seconds of a whole process."""
    code = "import resource, sys\nfrom forebay.__main__ import main\n" if words else "import sys\n"
    call = f"main({words!r})" if words else "pass"
    script = (
        "import resource\n" + code + f"try:\n    {call}\nexcept SystemExit:\n    pass\n"
        "u = resource.getrusage(resource.RUSAGE_SELF)\nprint(u.ru_utime + u.ru_stime, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True
    )
    seconds = float(done.stderr.strip().splitlines()[-1])
    what = f"forebay {' '.join(words)}, the whole process" if words else "python alone"
    print(f"{seconds:9.3f} s  {what}")
    if words:
        print(f"           ({len(done.stdout.splitlines())} lines)")


def _beside_sqlglot(drafts: list[Draft]) -> None:
    def ask() -> None:
        for draft in drafts:
            assert isinstance(draft.tree, exp.Query)
            for name in draft.tree.named_selects:
                sqlglot_lineage(name, draft.tree.copy(), draft.schema, dialect="duckdb")

    features = len(drafts) * FEATURES
    timed(f"sqlglot.lineage of {features} features (direct columns alone)", ask)
    timed(f"ours of the same {features}", lambda: [follow_columns(d) for d in drafts])


if __name__ == "__main__":
    main()
