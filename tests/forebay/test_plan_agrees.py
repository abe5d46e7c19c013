"""Plan's word is the build's deed: whatever changed since the last build, the one is what the other does.

Every case is a view over a table of its own, so that one build shows the deeds of all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.types import LongType, StringType

from lakehouse.commit import commit_rows
from lakehouse.count_rows import set_properties
from lakehouse.data_files.project_columns import NAME_MAPPING
from lakehouse.drop_table import drop_table
from lakehouse.lake import STATE_PROPERTY, load_table, open_lake, read_state
from lakehouse.local_path import local_path
from lakehouse.scan import pin
from tests.forebay.conftest import Shell
from tests.forebay.small import FILES, lake_of, make_project, payments
from tests.lakehouse.others_write.lakes import OtherEngine

pytestmark = pytest.mark.slow
NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)
MOST = """\
{{{{ config(materialized='feature_view', meta={{'feature_view': {{'entities': ['customer']}}}}) }}}}
select customer, max(amount) as most from {{{{ source('raw', '{name}') }}}}
where paid_at > current_timestamp - interval '60' day group by customer
"""
#: Keeps running sums, beside which a step adds.
SPENT = MOST.replace("max(amount) as most", "sum(amount) as spent")
#: A history.
LATEST = """\
{{{{ config(materialized='feature_view', event_time='paid_at', meta={{'feature_view': {{'entities': ['customer'], 'ttl': '7 days'}}}}) }}}}
select customer, paid_at, amount from {{{{ source('raw', '{name}') }}}}
"""


@dataclass
class Spot:
    """A case's part of the project: its table, its view, and the view's tables."""

    root: Path
    name: str

    @property
    def lake(self) -> Catalog:
        return open_lake(lake_of(self.root))

    @property
    def leaf(self) -> str:
        return f"raw.{self.name}"

    @property
    def table(self) -> Table:
        return load_table(self.lake, self.leaf)

    def append(self) -> None:
        commit_rows(self.lake, self.leaf, payments((9,)), mode="append")

    def model(self, old: str, new: str) -> None:
        path = self.root / "models" / f"view_{self.name}.sql"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def alter_state(self, table: str, **changed: object) -> None:
        found = load_table(self.lake, f"main.view_{self.name}{table}")
        state = read_state(found)
        assert state is not None
        set_properties(found, {STATE_PROPERTY: replace(state, **changed).dumps()})  # type: ignore[arg-type]


Change = Callable[[Spot], None]


def nothing(spot: Spot) -> None:
    """Leave all as it is."""


def delete_rows(spot: Spot) -> None:
    engine = OtherEngine(spot.table)
    file = pin(engine.table).files[0].data_file
    engine.commit(deletes=[engine.delete_positions((file, 0))], operation=Operation.DELETE)


def compact(spot: Spot) -> None:
    engine = OtherEngine(spot.table)
    before = [e.data_file for e in pin(engine.table).files]
    rows = engine.table.scan().to_arrow().cast(schema_to_pyarrow(engine.table.schema()))
    engine.commit(engine.write(rows), removed=before, operation=Operation.REPLACE)


def expire(spot: Spot) -> None:
    read = spot.table.metadata.current_snapshot_id
    assert read is not None
    spot.append()
    spot.table.maintenance.expire_snapshots().by_id(read).commit()


def make_anew(spot: Spot) -> None:
    rows = spot.table.scan().to_arrow()
    drop_table(spot.lake, spot.leaf)
    commit_rows(spot.lake, spot.leaf, rows, mode="append")


def map_names(spot: Spot) -> None:
    mapping = spot.table.schema().name_mapping.model_dump_json()
    with spot.table.transaction() as change:
        change.set_properties({NAME_MAPPING: mapping})


def unmap_names(spot: Spot) -> None:
    with spot.table.transaction() as change:
        change.remove_properties(NAME_MAPPING)


def add_column(spot: Spot) -> None:
    with spot.table.update_schema() as change:
        change.add_column("unread", StringType())


def replace_column(spot: Spot) -> None:
    """A change of schema makes no snapshot."""
    with spot.table.update_schema() as change:
        change.rename_column("amount", "was_amount")
    with spot.table.update_schema() as change:
        change.add_column("amount", LongType())


def bring_back(spot: Spot) -> None:
    with spot.table.update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("amount")
    with spot.table.update_schema() as change:
        change.rename_column("was_amount", "amount")


def there_and_back(spot: Spot) -> None:
    replace_column(spot)
    bring_back(spot)


def of_an_older_compiler(spot: Spot) -> None:
    spot.alter_state("__history", semantic_hash="another")


def cut_short(spot: Spot) -> None:
    """The log was committed, and the table of latest rows was not."""
    spot.alter_state("", at=1)


def say(old: str, new: str) -> Change:
    return lambda spot: spot.model(old, new)


def alter(new: str) -> Change:
    return say("config(", f"config({new}, ")


@dataclass(frozen=True)
class Case:
    """A view's query, and what changes before one build and the next, with what each then does."""

    query: str
    rounds: tuple[tuple[Change, str], ...] = field(default=())


def case(query: str, *rounds: tuple[Change, str]) -> Case:
    return Case(query, (*rounds, (nothing, "nothing"))[:2])


CASES = {
    "quiet": case(MOST, (nothing, "nothing")),
    "appended": case(MOST, (Spot.append, "step")),
    "summed": case(SPENT, (Spot.append, "step"), (Spot.append, "step")),
    "deleted": case(MOST, (delete_rows, "full"), (Spot.append, "step")),
    "compacted": case(SPENT, (compact, "step"), (delete_rows, "full")),
    "expired": case(SPENT, (expire, "full"), (Spot.append, "step")),
    "made_anew": case(LATEST, (make_anew, "full")),
    "mapped": case(MOST, (map_names, "full"), (unmap_names, "full")),
    "widened": case(MOST, (add_column, "step")),
    "replaced": case(LATEST, (replace_column, "full"), (bring_back, "full")),
    "and_back": case(SPENT, (there_and_back, "nothing"), (replace_column, "full")),
    "recompiled": case(SPENT, (of_an_older_compiler, "full")),
    "cut_short": case(MOST, (cut_short, "step")),
    "cut_sums": case(SPENT, (cut_short, "full")),
    "ttl": case(LATEST, (say("7 days", "1 day"), "nothing")),
    "edge": case(LATEST, (say("'ttl'", "'boundary': 'exclusive', 'ttl'"), "full")),
    "window": case(MOST, (say("'60'", "'45'"), "full"), (say("'45'", "'60'"), "nothing")),
    "comment": case(MOST, (say("select ", "-- paid\nselect   "), "nothing")),
    "elsewhere": case(MOST, (alter("alias='newest'"), "full")),
    "in_full": case(MOST, (alter("full_refresh=true"), "full"), (nothing, "full")),
    "spared": case(MOST, (alter("full_refresh=false"), "nothing"), (Spot.append, "step")),
    "static": case(MOST, (Spot.append, "full")),
}  # fmt: skip
Deeds = dict[str, str]


@dataclass
class Yard(Shell):
    """The project of all cases."""

    rounds: list[tuple[Deeds, Deeds]] = field(default_factory=list)

    def planned(self, *words: str) -> Deeds:
        assert self.run("plan", "--json", *words) == 0, self.err
        return {p["view"]: p["recompute"] for p in json.loads(self.out)["views"]}

    def built(self, *words: str) -> Deeds:
        assert self.run("build", *words) == 0, self.out + self.err
        return dict(re.findall(r"(\w+): (full|step|nothing) \d+ upserts", self.out))

    def agree(self, *words: str) -> Deeds:
        said, done = self.planned(*words), self.built(*words)
        assert said == done
        return said


def make_yard(root: Path) -> None:
    tables = "".join(
        f"      - name: {n}\n        "
        + ("meta: {time: static}\n" if n == "static" else "config: {event_time: paid_at}\n")
        for n in CASES
    )
    texts = dict.fromkeys((f for f in FILES if f.startswith("models/")), "")
    texts["models/sources.yml"] = f"sources:\n  - name: raw\n    schema: raw\n    tables:\n{tables}"
    texts |= {f"models/view_{n}.sql": c.query.format(name=n) for n, c in CASES.items()}
    make_project(root, texts)
    for path in (root / "models").iterdir():
        if not path.read_text():
            path.unlink()
    for name in CASES:
        commit_rows(open_lake(lake_of(root)), f"raw.{name}", payments(), mode="append")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Yard]:
    """The project, once it is built."""
    return {}


@pytest.fixture
def yard(
    kept: dict[str, Yard],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Yard:
    """The project after its first build and two rounds of changes, with what was said and done."""
    if not kept:
        root = tmp_path_factory.mktemp("agree") / "shop"
        make_yard(root)
        yard = kept["yard"] = Yard(root, monkeypatch, capsys)
        assert yard.agree() == dict.fromkeys((f"view_{n}" for n in CASES), "full")
        for number in (0, 1):
            for name, known in CASES.items():
                known.rounds[number][0](Spot(root, name))
            yard.rounds.append((yard.planned(), yard.built()))
    yard = kept["yard"]
    yard.patch, yard.capture = monkeypatch, capsys
    return yard


@pytest.mark.parametrize("name", CASES)
def test_plan_says_what_build_does(yard: Yard, name: str) -> None:
    for (said, done), (_, expected) in zip(yard.rounds, CASES[name].rounds, strict=True):
        assert (said[f"view_{name}"], done[f"view_{name}"]) == (expected, expected)


def test_the_clock_and_what_is_asked_for(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    later, earlier = ("--now", NOON.isoformat()), ("--now", "2024-01-10T06:00:00Z")
    chosen = ("--select", "view_quiet", "view_ttl", "view_spared")
    expected = {"view_quiet": "step", "view_ttl": "step", "view_spared": "step"}
    assert yard.agree(*later, *chosen) == expected
    assert yard.agree(*earlier, *chosen) == dict.fromkeys(expected, "full")
    refreshed = {"view_quiet": "full", "view_ttl": "full", "view_spared": "nothing"}
    assert yard.agree(*earlier, *chosen, "--full-refresh") == refreshed
    monkeypatch.setenv("DBT_FULL_REFRESH", "true")
    assert yard.agree(*earlier, *chosen) == refreshed
    assert yard.run("build", "--dry-run", *earlier, *chosen) == 0, yard.err
    assert "\n2 of 3 views would be computed in full" in yard.out


@pytest.mark.parametrize(
    ("table", "code"), [("raw.quiet", 2), ("raw.unread", 0), ("main.view_quiet", 2)]
)
def test_a_file_that_is_lost_fails_both_alike(
    yard: Yard, table: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that no view reads fails none."""
    lake = open_lake(lake_of(yard.folder))
    sources = yard.folder / "models/sources.yml"
    if table == "raw.unread":
        commit_rows(lake, table, payments((1,)), mode="append")
        sources.write_text(f"{sources.read_text()}      - name: unread\n")
    path = Path(local_path(pin(load_table(lake, table)).files[0].data_file.file_path))
    path.rename(path.with_suffix(".away"))
    try:
        # What another process would not know yet.
        monkeypatch.setattr("lakehouse.data_files.footers._shapes", {})
        assert yard.run("plan") == code and (path.name in yard.err) == (code == 2)
        monkeypatch.setattr("lakehouse.data_files.footers._shapes", {})
        assert yard.run("build", "--select", "view_quiet") == code, yard.err
        assert (path.name in yard.err) == (code == 2)
    finally:
        path.with_suffix(".away").rename(path)


def test_leaves_that_are_built_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What dbt makes of a seed is not known before it has run, so plan says from when on."""
    weights = tmp_path / "shop/seeds/weights.csv"
    query = MOST.replace("source('raw', '{name}')", "source('raw', 'payments')").format()
    seed = query[: query.index("select")]
    seed += "select customer, max(weight) as weight from {{ ref('weights') }} group by customer\n"
    make_project(
        tmp_path / "shop",
        {
            "seeds/weights.csv": "customer,weight\na,1\n",
            "models/views.yml": "",
            "models/spending.sql": query,
            "models/last_payment.sql": seed,
        },
    )
    for unused in ("views.yml", "stg_payments.sql"):
        (tmp_path / "shop/models" / unused).unlink()
    yard = Yard(tmp_path / "shop", monkeypatch, capsys)
    both = {"spending": "full", "last_payment": "full"}
    assert yard.built() == both
    assert yard.run("plan", "--json") == 0, yard.err
    found = {p["view"]: (p["recompute"], p["built_first"]) for p in json.loads(yard.out)["views"]}
    assert found == {"spending": ("nothing", []), "last_payment": ("nothing", ["seed weights"])}
    weights.write_text("customer,weight\na,1\nb,2\n")
    assert yard.run("plan") == 0, yard.err
    assert re.search(r"last_payment +unchanged +nothing or more ", yard.out)
    assert "or more, where the build first changes rows of seed weights" in yard.out
    assert yard.out.endswith("in full, 1 perhaps more, by what is built first\n")
    assert yard.built() == {"spending": "nothing", "last_payment": "full"}
