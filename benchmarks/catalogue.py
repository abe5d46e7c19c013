"""The catalogue at 10,000 features: start, pages and search, beside SQLite's full-text search.

    .venv/bin/python benchmarks/catalogue.py [--features 10000]

A generated project of 500 views x 20 features, 200 services and 50 groups is served by a server of its
own, over HTTP, one request at a time: the server's processor time a request, and the median by the
clock, which other work on the machine lengthens. The rival of the search is FTS5, which ranks the same texts by bm25 and finds words by
their beginnings; it counts the same facets, and knows no typos.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.catalogue_project import make_project, write_project
from feature_specs.catalog import Catalog
from feature_specs.catalogue_facts import CatalogueFacts
from serving.catalogue.directory import Directory
from serving.catalogue.export import export_site
from serving.catalogue.live import Live
from serving.catalogue.search import Index
from serving.keys import encode_key
from serving.state import ViewState
from serving.stores import StoredView, open_store
from tests.servers.process import free_port, start, stop
from tests.serving.stored_rows import encode_row

ROUNDS = 15
QUERIES = (
    "mean amount", "custmer paymetns", "fraud 7d", "m", "customer", "group_03", "payments.amount_net",
    "how much does a card pay late", "team01@example.com", "stddve distnace",
)  # fmt: skip
_SERVER = """
import sys
from pathlib import Path
from feature_specs.catalog import load_catalog
from serving.server import serve
path = Path(sys.argv[1])
serve(load_catalog(path), "127.0.0.1", int(sys.argv[2]), 1, path)
"""


def fill(catalog: Catalog) -> None:
    """Three entities of every view."""
    store = open_store(catalog.online)
    for view in catalog.views.values():
        values = ["1" if c.type != "VARCHAR" else '"a"' for c in view.stored]
        rows = [(encode_key([str(n)]), encode_row(None, values)) for n in range(3)]
        state = ViewState(1_767_225_600_000_000, view.semantic_hash, 3)
        store.write(StoredView.of(view), rows, (), state.dumps(), replace=True)
    store.close()


def fetch(url: str) -> float:
    """Milliseconds of one request, read to its end."""
    started = time.perf_counter()
    with urllib.request.urlopen(url) as answer:
        answer.read()
    return (time.perf_counter() - started) * 1e3


class Meter:
    """Processor time of a process, its own or another's, in milliseconds."""

    def __init__(self, pid: int | None = None) -> None:
        self._stat = None if pid is None else Path(f"/proc/{pid}/stat")

    def read(self) -> float:
        if self._stat is None:
            return time.process_time() * 1e3
        fields = self._stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1e3 / os.sysconf("SC_CLK_TCK")

    def measure(self, name: str, ask: Callable[[], float], rounds: int = ROUNDS) -> None:
        """Print processor time a request, and the median by the clock."""
        before = self.read()
        taken = [ask() for _ in range(rounds)]
        cpu = (self.read() - before) / rounds
        print(f"{name:44}{cpu:9.1f} ms{statistics.median(taken):9.1f} ms", flush=True)


def serve(folder: Path, path: Path, catalog: Catalog) -> None:
    """Start a server, and ask it for pages and searches."""
    script = folder / "server.py"
    script.write_text(_SERVER)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    started = time.perf_counter()
    process = start([sys.executable, str(script), str(path), str(port)], folder)
    # The process that was started becomes the server.
    meter = Meter(process.pid)

    def ready() -> float:
        while True:
            try:
                urllib.request.urlopen(f"{url}/metrics").close()
                return (time.perf_counter() - started) * 1e3
            except OSError:
                time.sleep(0.005)

    try:
        meter.measure("start, until it answers", ready, 1)
        meter.measure("first page, the first time", lambda: fetch(f"{url}/"), 1)
        time.sleep(3)  # whoever has the first page begins to type; the index is made meanwhile
        view = next(iter(catalog.views.values()))
        pages = {
            "first page": "/",
            "a feature's page": f"/feature/{view.name}/{view.features[0].name}",
            "a view's page": f"/view/{view.name}",
            "a service's page": "/service/model_000",
            "a source's page": "/source/raw.payments",
            "a list of 500 views": "/views",
        }
        for name, page in pages.items():
            fetch(url + page)
            meter.measure(name, partial(fetch, url + page))
        for query in QUERIES:
            asked = urllib.parse.urlencode({"q": query, "limit": 50})
            meter.measure(f"search: {query}", partial(fetch, f"{url}/v1/features?{asked}"))
    finally:
        stop(process)


class FullText:
    """SQLite's FTS5 over the same texts, with the same facets."""

    def __init__(self, directory: Directory) -> None:
        self._store = sqlite3.connect(":memory:")
        self._store.execute(
            "create virtual table f using fts5(name, view, tags, entity, sources, owner, grp,"
            " description, tokenize=\"unicode61 separators '_'\", prefix='1 2 3')"
        )
        rows = [
            (i.feature.name, i.view.name, " ".join(i.tags), i.entity,
             " ".join((*i.sources, *i.leaves)), i.view.owner, i.access.group, i.feature.description)
            for i in directory.features
        ]  # fmt: skip
        self._store.executemany("insert into f values (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def search(self, query: str) -> float:
        """Milliseconds of one search with its facets."""
        begun = time.perf_counter()
        self.find(query)
        words = self._words(query)
        for column in ("entity", "tags", "sources", "owner", "grp"):
            counted = f"select {column}, count(*) from f where f match ? group by 1"
            self._store.execute(counted, [words]).fetchall()
        return (time.perf_counter() - begun) * 1e3

    def find(self, query: str) -> int:
        """How many are found."""
        ranked = "select rowid from f where f match ? order by bm25(f)"
        return len(self._store.execute(ranked, [self._words(query)]).fetchall())

    def _words(self, query: str) -> str:
        words = "".join(c if c.isalnum() else " " for c in query).split()
        return " AND ".join(f'"{word}"*' for word in words)


def rival(directory: Directory) -> None:
    """The same queries, asked of FTS5 in this process, beside what both find."""
    index, meter = Index(directory.features), Meter()
    made: list[FullText] = []

    def build() -> float:
        begun = time.perf_counter()
        made.append(FullText(directory))
        return (time.perf_counter() - begun) * 1e3

    meter.measure("FTS5: index", build, 1)
    for query in QUERIES:
        meter.measure(f"FTS5: {query}", partial(made[0].search, query))
        print(f"{'':8}found: {made[0].find(query):,}; ours: {len(index.search(query)):,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--features", type=int, default=10_000)
    views = parser.parse_args().features // 20
    with tempfile.TemporaryDirectory(prefix="catalogue") as name:
        folder = Path(name)
        catalog, facts = make_project(views)
        catalog = replace(
            catalog, online=f"lmdb://{folder}/online.lmdb", now="2026-01-01T00:00:00Z"
        )
        path = write_project(folder / "target", catalog, facts)
        fill(catalog)
        print(f"{len(catalog.views) * 20:,} features{'processor':>40}{'by the clock':>14}")
        serve(folder, path, catalog)
        rival(Directory(catalog, facts, catalog.access))
        write_site(catalog, facts, folder / "site")


def write_site(catalog: Catalog, facts: CatalogueFacts, out: Path) -> None:
    """The static site of it."""

    def write() -> float:
        begun = time.perf_counter()
        export_site(catalog, facts, out, Live(), lambda *_: None)
        return (time.perf_counter() - begun) * 1e3

    Meter().measure("static site", write, 1)
    files = [path for path in out.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(f"{'':8}{len(files):,} files, {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
