"""A view's second version: built beside the first while that is asked, compared, switched to, and
the first retired, and back: not one failed or wrong answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_specs.catalog import load_catalog
from forebay.client import Client
from lakehouse.lake import find_table, open_lake, table_names
from serving.stores import open_store, view_of
from tests.forebay.conftest import Shell
from tests.forebay.small import SPENDING, VIEWS, edit, lake_of, make_project
from tests.serving.server_process import ServerProcess

pytestmark = pytest.mark.slow

#: Payments of each customer are on days 1, 2, 3 and 8, of ten times the day; the clock is day 10.
V1 = {"payments_60d": 4, "spent_60d": 140, "most_60d": 80}
#: The last 5 days only, and no largest payment, but the smallest.
V2 = {"payments_60d": 1, "spent_60d": 80, "least_60d": 80}

MODELS = (
    VIEWS.replace(
        "      meta: {feature_view: {entities: [customer]}}\n",
        """      meta: {feature_view: {entities: [customer]}}
    latest_version: 1
    versions: [{v: 1}]
""",
        1,
    )
    .replace("ref('spending')", "\"ref('spending', v=1)\"")
    .replace("spending.", "spending_v1.")
)
BOTH = MODELS.replace(
    "versions: [{v: 1}]", "versions: [{v: 1, deprecation_date: 2024-06-01}, {v: 2}]"
)
SECOND = """\
select customer, count(*) as payments_60d, sum(amount) as spent_60d, min(amount) as least_60d
from {{ ref('stg_payments') }}
where paid_at > current_timestamp - interval '5' day
group by customer
"""


class Load:
    """Readers of both services at once, for as long as it runs; every answer is looked at.

    Attributes:
        expected: which answers of the service ``fraud`` are right at present.
        last: the answer that came last.
        wrong: answers that were not, and errors.
    """

    def __init__(self, url: str) -> None:
        self.url, self.answers, self.wrong = url, 0, list[str]()
        self.expected: list[dict[str, int]] = [V1]
        self.last: dict[str, int] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(3)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def pass_on(self, most: int = 30) -> None:
        """Wait until some more answers were given."""
        until = self.answers + most
        while self.answers < until and not self.wrong:
            self._stop.wait(0.02)

    def pass_to(self, answer: dict[str, int]) -> None:
        """Wait until it is answered, after which all else is wrong."""
        while self.last != answer and not self.wrong:
            self._stop.wait(0.02)
        self.expected = [answer]
        self.pass_on()

    def _read(self) -> None:
        with Client(self.url) as client:
            while not self._stop.is_set():
                before = self.expected
                try:
                    found = client.vectors("fraud", {"customer": ["a", "b"]}).to_dicts()
                except Exception as error:  # noqa: BLE001
                    self.wrong.append(repr(error))
                    return
                for row in found:
                    values = {
                        name.partition("__")[2] or name.partition(":")[2]: value
                        for name, value in row.items()
                        if name.startswith("spending")
                    }
                    if values not in before and values not in self.expected:
                        self.wrong.append(str(row))
                    self.last = values
                self.answers += 1


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    first = {"models/views.yml": MODELS, "models/spending_v1.sql": SPENDING}
    root = make_project(tmp_path / "shop", first)
    (root / "models/spending.sql").unlink()
    return Shell(root, monkeypatch, capsys)


@pytest.fixture
def load(shell: Shell) -> Iterator[Load]:
    build(shell)
    catalog = load_catalog(shell.folder / "target/forebay/catalog.json")
    folder = shell.folder / "target/forebay"
    server = ServerProcess(catalog, folder)
    server.start()
    try:
        with Load(server.url) as load:
            yield load
    finally:
        server.stop()
    assert load.wrong == [] and load.answers > 100


def build(shell: Shell) -> None:
    for words in (("build",), ("sync",)):
        assert shell.run(*words) == 0, shell.out + shell.err


def read_by_service(shell: Shell, version: int) -> None:
    """Let both services read a version, as their owners would."""
    file = shell.folder / "models/views.yml"
    text = file.read_text()
    other = 3 - version
    file.write_text(
        text.replace(f"v={other})", f"v={version})").replace(
            f"spending_v{other}.", f"spending_v{version}."
        )
    )


def test_there_and_back(shell: Shell, load: Load) -> None:
    root = shell.folder
    load.pass_on()
    # v2 is built beside v1, which is asked meanwhile.
    (root / "models/views.yml").write_text(BOTH)
    (root / "models/spending_v2.sql").write_text(SECOND)
    build(shell)
    load.pass_on()
    assert shell.run("compare", "spending_v1", "spending_v2", "--json") == 1, shell.err
    made = json.loads(shell.out)
    assert made["different"] == {"payments_60d": 2, "spent_60d": 0 + 2} and made["entities"] == 2
    assert made["removed"] == ["most_60d"] and made["added"] == ["least_60d"]
    assert any("60" in line and "5" in line for line in made["why"]), made["why"]
    # The services are switched: for up to a second answers may be of either.
    read_by_service(shell, 2)
    load.expected.append(V2)
    build(shell)
    load.pass_on()
    assert shell.run("verify") == 0, shell.out
    # v1 cannot go while a service reads it; nobody does, so its model is removed.
    (root / "models/spending_v1.sql").unlink()
    edit(root, "models/views.yml", "{v: 1, deprecation_date: 2024-06-01}, ", "")
    edit(root, "models/views.yml", "latest_version: 1", "latest_version: 2")
    build(shell)
    load.pass_on()
    lake = open_lake(lake_of(root))
    assert find_table(lake, "main.spending_v1") is not None  # not by surprise
    assert shell.run("maintain", "--removed-views", "--dry-run") == 0, shell.err
    assert "spending_v1: removed" in shell.out and "would go" in shell.out
    assert find_table(lake, "main.spending_v1") is not None
    assert shell.run("maintain", "--removed-views") == 0, shell.err
    assert not [n for n in table_names(lake) if "spending_v1" in n]
    store = open_store(f"lmdb://{root}/online.lmdb", readonly=True)
    assert {view_of(s.name) for s in store.states() if s.name[0] != "@"} == {
        "spending_v2",
        "last_payment",
    }
    store.close()
    load.pass_on()
    # And back: v1 is there again, built anew, and the services read it.
    (root / "models/views.yml").write_text(BOTH)
    (root / "models/spending_v1.sql").write_text(SPENDING)
    read_by_service(shell, 2)
    build(shell)
    read_by_service(shell, 1)
    build(shell)
    load.pass_on()
    assert shell.run("maintain", "--removed-views", "--dry-run") == 0
    assert "removed" not in shell.out


def test_removal_is_refused_while_a_service_reads_it(shell: Shell) -> None:
    root = shell.folder
    (root / "models/spending_v2.sql").write_text(SECOND)
    (root / "models/views.yml").write_text(BOTH)
    assert shell.run("compile") == 0, shell.err
    (root / "models/spending_v1.sql").unlink()
    edit(root, "models/views.yml", "{v: 1, deprecation_date: 2024-06-01}, ", "")
    edit(root, "models/views.yml", "latest_version: 1", "latest_version: 2")
    line = shell.refused("build")
    assert "fraud" in line or "churn" in line
    assert "spending" in line and "1" in line
