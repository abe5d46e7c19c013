"""A private view of another group is refused wherever features are read or built, with who to ask."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

import forebay
from feature_specs.errors import CombinedError, ForebayError, errors_of
from forebay.check_query import names_table
from forebay.client.errors import AccessError
from forebay.compilation.compile_project import compile_project
from forebay.dbt_project.project import find_project
from forebay.dbt_project.read_manifest import read_manifest
from forebay.own_team import VARIABLE
from forebay.why.explain_value import explain_value
from serving.access.errors import ForbiddenError
from serving.sync import sync
from tests.forebay.conftest import Shell
from tests.forebay.small import VIEWS, edit, make_project, run_here
from tests.forebay.why.test_explain_differences import change_store
from tests.serving.stored_rows import encode_row

pytestmark = pytest.mark.slow

GROUPS = """\
groups:
  - name: risk
    owner: {name: Risk, email: risk@x.org}
  - name: growth
    owner: {name: Growth, email: growth@x.org}
"""
SPINE = pd.DataFrame({"customer": ["a"], "event_timestamp": [pd.Timestamp("2024-01-05", tz="UTC")]})
SERVICE = """\
exposures:
  - name: fraud
    type: ml
    owner: {name: Risk}
    depends_on: [ref('spending')]
    config: {meta: {feature_service: {features: [spending.*]}}}
"""

#: Reads what is not private.
SEEN = (
    SERVICE.replace("fraud", "seen")
    .replace("'spending'", "'last_payment'")
    .replace("spending.*", "last_payment.*")
)

Read = Callable[[Path], object]


def preview(root: Path) -> object:
    with forebay.open(root) as project:
        return project.preview("spending", "a").features["payments_60d"]


def historical(root: Path) -> object:
    with forebay.open(root) as project:
        asked = ["last_payment:amount", "spending:payments_60d"]
        return project.get_historical_features(SPINE, asked).to_df()["payments_60d"][0]


def vectors(root: Path) -> object:
    with forebay.open(root) as project:
        found = project.vectors(["spending:payments_60d"], {"customer": ["a"]})
        return found.to_pandas().filter(like="payments_60d").iloc[0, 0]


def why(root: Path) -> object:
    at = datetime(2024, 1, 9, tzinfo=UTC)
    found = explain_value(find_project(root), "spending.payments_60d", ["customer=a"], at)
    return found.parts.value


READS: dict[str, tuple[Read, int]] = {
    "preview": (preview, 4),
    "get_historical_features": (historical, 3),
    "vectors": (vectors, 4),
    "why": (why, 4),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project, its view of spending private to the group risk."""
    models, _, _ = VIEWS.partition("exposures:")
    models = models.replace(
        "feature_view\n", "feature_view\n      access: private\n      group: risk\n", 1
    )
    root = make_project(
        tmp_path_factory.mktemp("private"),
        {"models/views.yml": models, "models/groups.yml": GROUPS},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for words in (["build"], ["sync"]):
            run_here(*words)
    return root


@pytest.fixture
def team(built: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Gives the project, read by a team; of no name by nobody."""

    def read_by(name: str) -> Path:
        monkeypatch.setenv(VARIABLE, name)
        return built

    return read_by


@pytest.mark.slow
@pytest.mark.parametrize("kind", READS)
def test_another_group_is_refused_and_told_who_to_ask(
    team: Callable[[str], Path], kind: str
) -> None:
    read, value = READS[kind]
    with pytest.raises((ForbiddenError, AccessError)) as refused:
        read(team("growth"))
    assert refused.value.what == (
        "team 'growth' may not read feature view 'spending', which is private to group 'risk'"
    )
    assert refused.value.hint == "ask risk@x.org"
    with pytest.raises((ForbiddenError, AccessError)) as refused:
        read(team(""))
    assert "whoever names no team" in refused.value.what
    assert "ask risk@x.org" in refused.value.hint and "FOREBAY_TEAM=risk" in refused.value.hint
    assert read(team("risk")) == value


@pytest.mark.slow
def test_the_profile_names_the_team(team: Callable[[str], Path]) -> None:
    root = team("")
    profile = root / "profiles/profiles.yml"
    before = profile.read_text()
    edit(root, "profiles/profiles.yml", "name: lake\n", "name: lake\n            team: risk\n")
    try:
        assert vectors(root) == 4 and preview(root) == 4
    finally:
        profile.write_text(before)


@pytest.mark.slow
def test_what_is_not_private_needs_no_team(team: Callable[[str], Path]) -> None:
    with forebay.open(team("")) as project:
        assert project.vectors(["last_payment:amount"], {"customer": ["a"]}).to_pandas().shape[0]
        assert project.preview("last_payment", "a").features["amount"] == 80


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        ("models/services.yml", SERVICE, "fraud"),
        (
            "models/growth.yml",
            "models: [{name: pushy, config: {group: growth, materialized: table}}]\n",
            "pushy",
        ),
    ],
)
def test_builds_of_another_group_are_refused(
    built: Path,
    file: str,
    text: str,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """dbt refuses the reference; it is told as ours."""
    path, model = built / file, built / "models/pushy.sql"
    path.write_text(text)
    if named == "pushy":
        model.write_text("select * from {{ ref('spending') }}\n")
    try:
        line = Shell(built, monkeypatch, capsys).refused("build")
    finally:
        path.unlink()
        model.unlink(missing_ok=True)
    assert named in line and "spending" in line and "risk" in line, line


@pytest.mark.slow
def test_a_service_that_reads_a_private_view_is_refused_where_dbt_did_not_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partial parse may pass over references of files that have not changed."""
    monkeypatch.chdir(make_project(tmp_path / "shop"))
    project = find_project()
    manifest = read_manifest(project)
    (spending,) = (i for i, name in manifest.view_ids().items() if name == "spending")
    compile_project(project, manifest=manifest, write=False)
    manifest.nodes[spending].update(access="private", group="risk")
    with pytest.raises(CombinedError) as refused:
        compile_project(project, manifest=manifest, write=False)
    told = [str(error) for error in errors_of(refused.value)]
    assert len(told) == 2 and all(
        "'spending', which is private to the group 'risk'" in t for t in told
    )
    assert "'fraud'" in told[0] and "'churn'" in told[1] and "models/views.yml" in told[0]


@pytest.mark.slow
def test_verify_shows_no_rows_of_another_group(
    team: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says how many differ, and no key, value or source row; to the group itself it does."""
    project = find_project(team("growth"))
    row = encode_row(None, ["4", "8642", "80"])
    change_store(project, [(b"a", row)], [])
    try:
        shell = Shell(project.root, monkeypatch, capsys)
        for options in ((), ("--no-explain",), ("--json",)):
            assert shell.run("verify", "spending", *options) == 1
            assert "8642" not in shell.out and "140" not in shell.out, shell.out
            assert "ask risk@x.org" in shell.err and "not shown" in shell.err
        (told,) = json.loads(shell.out)
        assert (told["different"], told["examples"], told["explained"]) == (1, [], [])
        team("risk")
        assert shell.run("verify", "spending") == 1
        assert "spent_60d: offline 140, online 8642: wrong" in shell.out
    finally:
        shutil.rmtree(project.root / "online.lmdb")
        sync(project.catalog())


def test_a_team_that_is_none(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, " risk ")
    with pytest.raises(ForebayError, match="team's name"):
        preview(built)


QUERY = "select customer, timestamptz '2024-01-09 00:00+00' as event_timestamp from {}"
INSTANTS = ("--from", "2024-01-08T00:00:00Z", "--to", "2024-01-09T00:00:00Z", "--every", "1d")
#: What reads a private view, and a part of what is told once the team may.
COMMANDS: dict[str, tuple[tuple[str, ...], str]] = {
    "explain": (("explain", "spending", "--no-sql"), "payments"),
    "backfill": (("backfill", "spending", "--dry-run", *INSTANTS), "2 instants"),
    "sql": (("sql", "seen", "--spine", "main.spending", "--timestamp", "x"), "x"),
    "spine query": (("train", "seen", "--dry-run", "--spine", QUERY.format("main.spending")), ""),
    "spine log": (
        ("train", "seen", "--dry-run", "--spine", QUERY.format('"main"."spending__history"')),
        "",
    ),
    "spine join": (
        (
            "train",
            "seen",
            "--dry-run",
            "--spine",
            "select customer, timestamptz '2024-01-09 00:00+00' as event_timestamp "
            "from (spending s join last_payment p using (customer))",
        ),
        "",
    ),
    "spine served": (
        ("train", "seen", "--dry-run", "--spine", QUERY.format("forebay.served_vectors")),
        "",
    ),
    "entities": (
        ("spine", "--entities", "select customer from spending", *INSTANTS, "--out", "x.parquet"),
        "",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", COMMANDS)
def test_commands_ask_for_private_views(
    built: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words, told = COMMANDS[kind]
    shell = Shell(built, monkeypatch, capsys)
    file = built / "models/services.yml"
    file.write_text(SEEN)
    try:
        monkeypatch.setenv(VARIABLE, "growth")
        line = shell.refused(*words)
        assert "may not read feature view 'spending'" in line and "ask risk@x.org" in line
        monkeypatch.setenv(VARIABLE, "risk")
        shell.run(*words)
        assert "may not read" not in shell.err and told in shell.out + shell.err
    finally:
        file.unlink()


def test_names_of_tables_in_queries() -> None:
    """A table is named with its schema, or alone where a relation stands; not within other names."""
    named = ['select * from "main"."spending"', "from MAIN . spending s", "join spending on true"]
    named += ["from a, spending", "select main.spending.x from main.spending"]
    named += [
        "from (spending s join labels l using (k))",
        "table spending",
        "from lake.main.spending",
    ]
    named += ["from `x` join (spending) using (k)", "pivot spending on x in (1) using sum(y)"]
    named += ["select * from a, lateral (table spending)", "from /* of risk */ spending"]
    others = ["select spending from a", "from main.spending_v2", "from domain.spending"]
    others += ["from spending_old", "from spending.payments", "from other.main_spending"]
    assert [q for q in (*named, *others) if names_table(q, "main.spending")] == named
