"""Walking the graph, and drawing what was found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from feature_specs.errors import UnknownNameError
from lineage.draw import as_json, mermaid, tree
from lineage.effects import Effect, Effects
from lineage.project_lineage import Exposure, ProjectLineage, ViewNode, load_project_lineage
from lineage.view_lineage import ViewLineage
from lineage.view_lines import ViewLines, views_naming
from lineage.walk import Direction, Edge, Graph, Node


def _to(*columns: tuple[str, str], how: Effect) -> Effects:
    return {column: frozenset({how}) for column in columns}


_SUM, _KEPT = Effect("AGGREGATION"), Effect("IDENTITY")
_AMOUNT, _PAID = ("raw.pays", "Amount"), ("raw.pays", "paid")
_SPENDING = ViewLineage(
    {"spent": _to(_AMOUNT, how=_SUM), "n": {}},
    {"who": _to(("raw.pays", "who"), how=_KEPT)},
    _to(_PAID, how=Effect("FILTER")),
    {"stg": {"amount": _to(_AMOUNT, how=_KEPT)}},
    {"spent": _to(("stg", "amount"), how=_SUM)},
)
_LAST = ViewLineage(
    {"amount": _to(_AMOUNT, how=_KEPT)}, {}, _to(_AMOUNT, _PAID, how=Effect("SORT", tie=True))
)
GRAPH = Graph(
    ProjectLineage(
        "shop",
        {"raw.pays": {"who": "VARCHAR", "Amount": "INTEGER", "paid": "TIMESTAMP"}},
        {
            "spending": ViewNode("main.spending", "risk", "h1", _SPENDING.dump()),
            "last": ViewNode("main.last", "", "h2", _LAST.dump()),
        },
        {"fraud": (("spending", "spent"), ("last", "amount"))},
        {"fraud": "Risk"},
        {"fraud_set": "fraud"},
        {
            "exposure.shop.fraud": Exposure("fraud", "ml", "Risk", ("spending",)),
            "exposure.shop.report": Exposure("report", "dashboard", "BI", ("spending",)),
            "exposure.shop.paper": Exposure("paper", "analysis", "", ("fraud_set",)),
        },
    )
)
_DOWN = """\
raw.pays.Amount
├─ last.amount  IDENTITY
│  └─ fraud (service)
│     └─ fraud_set (training set)
│        └─ paper (exposure)
└─ stg.amount (model)  IDENTITY
   └─ spending.spent  AGGREGATION
      ├─ report (exposure)
      └─ fraud (service)  ..."""


def test_downstream_of_a_column_as_a_tree() -> None:
    start = GRAPH.find("RAW.pays.amount")
    edges = GRAPH.walk(start, "downstream")
    assert tree(start, edges, "downstream") == _DOWN
    assert as_json(edges)[0] == {
        "source": {"kind": "column", "name": "raw.pays.Amount"},
        "target": {"kind": "feature", "name": "last.amount"},
        "effects": ["IDENTITY"],
    }


def test_upstream_of_a_feature_goes_through_models() -> None:
    spent = Node("feature", "spending.spent")
    assert [(e.source.name, e.effects) for e in GRAPH.edges(spent, "upstream")] == [
        ("raw.pays.paid", ("FILTER",)),
        ("stg.amount", ("AGGREGATION",)),
    ]
    upward = {e.source.name for e in GRAPH.walk(GRAPH.find("paper"), "upstream")}
    assert {"fraud_set", "fraud", "spending.spent", "stg.amount", "raw.pays.Amount"} <= upward


def test_every_edge_down_is_an_edge_up() -> None:
    down: set[Edge] = set()
    for column in ("who", "Amount", "paid"):
        start = GRAPH.find(f"raw.pays.{column}")
        down |= set(GRAPH.walk(start, "downstream", ties=True))
    assert down
    for edge in down:
        assert edge in GRAPH.edges(edge.target, "upstream")


def test_ties_are_left_out_unless_asked_for() -> None:
    start = GRAPH.find("raw.pays.paid")
    plain = {e.target.name for e in GRAPH.walk(start, "downstream", 1)}
    assert plain == {"spending.spent", "spending.n"}
    assert "last.amount" in {e.target.name for e in GRAPH.walk(start, "downstream", 1, ties=True)}


def test_depth_bounds_the_walk() -> None:
    start = GRAPH.find("raw.pays.Amount")
    assert {e.target.name for e in GRAPH.walk(start, "downstream", 1)} == {
        "last.amount",
        "stg.amount",
    }


def test_a_mermaid_flowchart() -> None:
    text = mermaid(GRAPH.walk(GRAPH.find("spending.spent"), "upstream"))
    assert text.startswith("flowchart LR\n")
    assert "-.->|FILTER|" in text and "-->|AGGREGATION|" in text


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("spending.spen", "'spending.spent'"),
        ("raw.pays.amont", "'raw.pays.Amount'"),
        ("frau", "'fraud'"),
    ],
)
def test_a_name_that_is_not_there(name: str, hint: str) -> None:
    with pytest.raises(UnknownNameError, match="nothing in the lineage") as error:
        GRAPH.find(name)
    assert hint in str(error.value)


def test_names_with_dots_are_followed_both_ways() -> None:
    """Quoted names may hold dots: of columns, of a model's columns and of features."""
    raw, model = ("raw.pays", "net.eur"), ("stg", "in.eur")
    odd = ViewLineage(
        {"spent.eur": _to(raw, how=_SUM)},
        {},
        {},
        {"stg": {"in.eur": _to(raw, how=_KEPT)}},
        {"spent.eur": _to(model, how=_SUM)},
    )
    other = ViewLineage({"n": {}}, {}, {}, {"stg": {"id": {}}}, {})
    graph = Graph(
        ProjectLineage(
            "shop",
            {"raw.pays": {"net.eur": "INTEGER"}},
            {
                "other": ViewNode("main.other", "", "h0", other.dump()),
                "odd": ViewNode("main.odd", "", "h1", odd.dump()),
            },
            {"fraud": (("odd", "spent.eur"),)},
            {},
            {},
            {"exposure.shop.report": Exposure("report", "dashboard", "BI", ("odd",))},
        )
    )
    start = graph.find("RAW.pays.net.eur")
    assert start == Node("column", "raw.pays.net.eur")
    down = [(e.source.name, e.target.name) for e in graph.walk(start, "downstream")]
    assert down == [
        ("raw.pays.net.eur", "stg.in.eur"),
        ("stg.in.eur", "odd.spent.eur"),
        ("odd.spent.eur", "report"),
        ("odd.spent.eur", "fraud"),
    ]
    up = [(e.source.name, e.target.name) for e in graph.walk(graph.find("fraud"), "upstream")]
    assert up == [(s, t) for s, t in reversed(down) if t != "report"]
    assert graph.find("odd.spent.eur").kind == "feature"
    assert graph.find("stg.in.eur").kind == "model"


def test_what_is_read_view_by_view_is_what_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lineage.json"
    path.write_text(GRAPH.lineage.dumps())
    line_by_line = Graph(load_project_lineage(path))
    assert isinstance(line_by_line.lineage.views, ViewLines)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))  # another layout
    at_once = Graph(load_project_lineage(path))
    assert not isinstance(at_once.lineage.views, ViewLines)
    nodes = ["raw.pays.amount", "stg.amount", "spending.spent", "SPENDING", "raw.pays", "fraud"]
    for name in [*nodes, "fraud_set", "paper"]:
        node = GRAPH.find(name)
        assert line_by_line.find(name) == at_once.find(name) == node
        directions: tuple[Direction, ...] = ("upstream", "downstream")
        for direction in directions:
            edges = GRAPH.walk(node, direction, ties=True)
            assert line_by_line.walk(node, direction, ties=True) == edges
            assert at_once.walk(node, direction, ties=True) == edges


def test_a_question_decodes_the_views_that_it_is_about() -> None:
    decoded: list[str] = []
    lines = {name: json.dumps({"name": name, "table": f"t{name}"}) for name in "abc"}

    def make(raw: dict[str, str]) -> str:
        decoded.append(raw["name"])
        return raw["table"]

    views = ViewLines(lines, make)
    assert dict(views_naming(views, "tb")) == {"b": "tb"} and decoded == ["b"]
    assert (list(views), len(views), views["b"], decoded) == (["a", "b", "c"], 3, "tb", ["b"])
