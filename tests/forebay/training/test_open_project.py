"""A project in Python: what it lists, explains and shows in a notebook, and Feast's names."""

from __future__ import annotations

import io
import pickle
import sys

import pandas as pd
import pytest

import forebay
from feature_specs.errors import DataError, ForebayError
from forebay.progress_line import progress_line
from tests.forebay.training.conftest import COUNT, SERVICE, Oracle


def test_features_without_a_store(project: forebay.OpenProject) -> None:
    features = project.features()
    assert [f.reference for f in features][:2] == [
        "card_activity:payments_1d",
        "card_activity:payments_30d",
    ]
    assert {(f.status, f.owner) for f in features} == {("unsynced", "payments@example.com")}
    assert {f.freshness for f in features} == {86_400, 30 * 86_400}
    html = project._repr_html_()
    assert "<td>card_activity:payments_1d</td><td>BIGINT</td><td>customer_id</td>" in html
    assert "unsynced, of 1 day" in repr(features)
    assert [s.name for s in project.services()] == [SERVICE]


def test_a_pickled_project_is_opened_again(project: forebay.OpenProject) -> None:
    again: forebay.OpenProject = pickle.loads(pickle.dumps(project))
    assert again.root == project.root
    assert len(again.features()) == len(project.features())


def test_explain_and_preview(project: forebay.OpenProject, oracle: Oracle) -> None:
    assert "cumulative" in project.explain("card_activity")
    at = pd.Timestamp.now("UTC").floor("s").to_pydatetime() - pd.Timedelta(days=9)
    shown = project.preview("card_activity", {"customer_id": 8}, at)
    assert shown.features["payments_30d"] == oracle.of(8, at)[0]
    assert shown == project.preview("card_activity", 8, at.isoformat())
    assert "<td>payments_30d</td>" in shown._repr_html_()
    with pytest.raises(DataError, match="no time zone"):
        project.preview("card_activity", 8, at.replace(tzinfo=None))
    with pytest.raises(ForebayError, match="did you mean 'card_activity'"):
        project.preview("card_activty", 8, at)


def test_a_set_shows_what_it_holds(project: forebay.OpenProject, labels: pd.DataFrame) -> None:
    made = project.training_set(SERVICE, labels)
    html = made._repr_html_()
    assert f"<caption>{SERVICE}: 60 rows, 15 columns</caption>" in html
    assert f"<td>{COUNT}</td><td>BIGINT</td><td>card_activity</td>" in html
    described = made.describe()
    assert {c.rows for c in described} == {60}
    summary = next(c for c in described if c.name == COUNT)
    values = made.to_arrow()[COUNT].to_pylist()
    known = [v for v in values if v is not None]
    assert (summary.nulls, summary.min, summary.max) == (
        values.count(None), min(known), max(known),
    )  # fmt: skip
    assert summary.mean == pytest.approx(sum(known) / len(known))
    assert "<th>mean</th>" in described._repr_html_()


def test_feast_s_names(project: forebay.OpenProject, labels: pd.DataFrame, oracle: Oracle) -> None:
    names = ["card_activity:payments_30d", "customer_profile:plan"]
    frame = project.get_historical_features(entity_df=labels, features=names).to_df()
    assert list(frame) == [*labels.columns, "payments_30d", "plan"]
    assert frame.index.equals(labels.index)
    rows = zip(labels["customer_id"], labels["event_timestamp"], strict=True)
    expected = [oracle.of(k, at.to_pydatetime())[0] for k, at in rows]
    assert [None if v is pd.NA else v for v in frame["payments_30d"]] == expected
    full = project.get_historical_features(labels, names, full_feature_names=True)
    assert full.to_arrow().column_names[-2:] == [COUNT, "customer_profile__plan"]
    of_service = project.get_historical_features(labels, SERVICE).to_df()
    assert [None if v is pd.NA else v for v in of_service["payments_30d"]] == expected
    renamed = labels.rename(columns={"disputed": "Plan"})
    with pytest.raises(DataError, match="two columns would be named 'plan'"):
        project.get_historical_features(renamed, names)
    with pytest.raises(ForebayError, match="no feature 'payments_3d'"):
        project.get_historical_features(labels, ["card_activity:payments_3d"])


def test_a_line_of_progress_is_written_over_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    said, seconds = io.StringIO(), iter(range(100))
    monkeypatch.setattr(sys, "stderr", said)
    report = progress_line(lambda: float(next(seconds)))
    report("train", 0, 0)  # over at once: nothing is said
    assert said.getvalue() == ""
    report("train", 500, 1000)
    report("train", 1000, 1000)
    first, last = said.getvalue().split("\r")[1:]
    assert first == "train ████████████░░░░░░░░░░░░ 500 of 1,000, 2 s"
    assert last.endswith("1,000 of 1,000, 3 s\n")
