"""What a project's features have drifted from: last week, and the training set."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from scipy.special import rel_entr
from scipy.stats import ks_2samp

from feature_specs.catalog import TrainingSetEntry
from feature_specs.view_entry import Role
from lakehouse.commit import commit_rows
from lakehouse.lake import open_lake
from lakehouse.plans import plan_folder
from lakehouse.statistics.drift_of_views import drift_of_views
from lakehouse.statistics.keep_statistics import read_baselines
from lakehouse.statistics.measure_drift import FLOOR
from lakehouse.statistics.measure_views import measure_project
from tests.serving.project import Project, carriers, instant

pytestmark = pytest.mark.slow

START = instant("07-01T08:00")


def build(project: Project, at: datetime, shift: int, rows: int = 200) -> None:
    values: dict[str | None, tuple[int | None, float | None]] = {
        f"c{n}": (n + shift, 1.0) for n in range(rows)
    }
    project.build(project.catalog.view("delays"), carriers(values), at)
    measure_project(project.catalog, project.folder)


def drifts(project: Project) -> dict[tuple[str, str], tuple[float | None, float | None]]:
    found = drift_of_views(project.catalog, project.folder)
    return {(d.feature, d.against): (d.psi, d.ks) for d in found}


def test_from_last_week(project: Project) -> None:
    build(project, START, 0)
    assert drifts(project) == {}
    build(project, START + timedelta(days=6, hours=23), 100)
    assert drifts(project) == {}, "what is younger than a week is no baseline"
    build(project, START + timedelta(days=7), 100)
    found = drifts(project)
    p = np.maximum(np.array([0, 0, 0, 0, 0, 20, 20, 20, 20, 120]) / 200, FLOOR)
    q = np.full(10, 0.1)
    expected = rel_entr(p, q).sum() + rel_entr(q, p).sum()
    assert found["n", "last week"] == pytest.approx((expected, 0.5))
    assert found["delay", "last week"] == (0.0, 0.0)
    over = {d.feature for d in drift_of_views(project.catalog, project.folder) if d.over}
    assert over == {"n"}


def test_from_a_training_set_in_its_own_bins(project: Project) -> None:
    lake = open_lake(project.catalog.lake)
    trained = pa.table({"delays__n": list(range(0, 400, 2)), "label": [0] * 200})
    commit_rows(lake, "main.train", trained, mode="append")
    project.service("eta", ("delays", "n"), ("delays", "delay"))
    sets = {"train": TrainingSetEntry("train", "model.x.train", "eta", "main.train")}
    project.catalog = replace(project.catalog, training_sets=sets)
    build(project, START, 0)
    found = drifts(project)
    assert set(found) == {("n", "training set train")}
    psi, ks = found["n", "training set train"]
    assert ks == pytest.approx(ks_2samp(range(200), range(0, 400, 2)).statistic)
    deciles = np.quantile(np.arange(0, 400, 2), np.arange(1, 10) / 10)
    now, before = (
        np.maximum(np.bincount(np.searchsorted(deciles, side), minlength=10) / 200, FLOOR)
        for side in (np.arange(200), np.arange(0, 400, 2))
    )
    assert psi == pytest.approx(rel_entr(now, before).sum() + rel_entr(before, now).sum())

    (drift,) = drift_of_views(project.catalog, project.folder)
    assert drift.over == () and "a row an entity" in drift.why_not
    for said in ({"": {"psi": 0.2}}, {"n": {"psi": 0.2}}):
        project.add(replace(project.catalog.view("delays"), drift=said))
        (drift,) = drift_of_views(project.catalog, project.folder)
        assert (drift.over, drift.why_not) == (("psi",), "")


def test_of_other_features_than_those_asked_nothing_is_measured(project: Project) -> None:
    """Whoever reads the feature delay fails here, as only from a training set it is read anew."""
    trained = pa.table({f"delays__{name}": list(range(200)) for name in ("n", "delay")})
    commit_rows(open_lake(project.catalog.lake), "main.train", trained, mode="append")
    project.service("eta", ("delays", "n"), ("delays", "delay"))
    sets = {"train": TrainingSetEntry("train", "model.x.train", "eta", "main.train")}
    project.catalog = replace(project.catalog, training_sets=sets)
    build(project, START, 0)
    plan = plan_folder(project.folder, "delays") / "features.sql"
    plan.write_text("select carrier, n, error('delay is read') as delay from forebay_stored")
    (drift,) = drift_of_views(project.catalog, project.folder, ["delays"], features=["n"])
    assert (drift.feature, drift.psi) == ("n", 0.0)
    with pytest.raises(duckdb.Error, match="delay is read"):
        drift_of_views(project.catalog, project.folder, ["delays"])


def test_a_training_set_made_anew_takes_the_place_of_the_old_one(project: Project) -> None:
    lake = open_lake(project.catalog.lake)
    project.service("eta", ("delays", "n"))
    sets = {"train": TrainingSetEntry("train", "model.x.train", "eta", "main.train")}
    project.catalog = replace(project.catalog, training_sets=sets)
    for start in (0, 100):
        rows = pa.table({"delays__n": list(range(start, start + 200))})
        commit_rows(lake, "main.train", rows, mode="replace")
        build(project, START + timedelta(hours=start), 100)
    assert drifts(project)["n", "training set train"] == (0.0, 0.0)


def test_a_view_in_two_roles_of_a_training_set(project: Project) -> None:
    """Each role's column has bins and values of its own."""
    view = project.catalog.view("delays")
    roles = {n: Role("delays", {k: f"{n}_{k}" for k in view.keys}) for n in ("one", "two")}
    project.catalog = replace(project.catalog, roles=roles)
    columns = {"one": list(range(200)), "two": list(range(1000, 1400, 2))}
    trained = pa.table({f"{name}__n": values for name, values in columns.items()})
    commit_rows(open_lake(project.catalog.lake), "main.train", trained, mode="append")
    project.service("eta", ("one", "n"), ("two", "n"))
    sets = {"train": TrainingSetEntry("train", "model.x.train", "eta", "main.train")}
    project.catalog = replace(project.catalog, training_sets=sets)
    build(project, START, 0)
    build(project, START + timedelta(hours=1), 0)
    found = drifts(project)
    assert found["n", "training set train as one"] == (0.0, 0.0)
    psi, ks = found["n", "training set train as two"]
    assert psi is not None and psi > 1 and ks == 1.0
    kept = read_baselines(open_lake(project.catalog.lake), measured="training")
    assert len(kept) == 2, "measured once, not with every build"


def test_few_rows_are_not_judged(project: Project) -> None:
    build(project, START, 0, rows=10)
    build(project, START + timedelta(days=8), 500, rows=10)
    found = drift_of_views(project.catalog, project.folder)
    assert [(d.over, d.why_not) for d in found] == [((), "fewer than 100 rows")] * 2
