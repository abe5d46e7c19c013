"""The starter: a whole project under the user's own name, whose rows end now."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from feature_specs.errors import ForebayError
from forebay.dbt_project.project import Project
from forebay.scaffold.starter import make_starter, project_name
from forebay.scaffold.starter_rows import CUSTOMERS, PAYMENTS, starter_files

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def texts(root: Path) -> dict[str, str]:
    return {p.relative_to(root).as_posix(): p.read_text() for p in root.rglob("*") if p.is_file()}


def rows(files: dict[str, bytes], name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files[f"data/{name}.csv"].decode())))


def test_project_and_profile_have_the_folders_name(tmp_path: Path) -> None:
    assert make_starter(tmp_path / "Card-Risk", NOW) == "card_risk"
    files = texts(tmp_path / "Card-Risk")
    settings = yaml.safe_load(files["dbt_project.yml"])
    assert settings["name"] == settings["profile"] == "card_risk"
    assert list(settings["models"]) == ["card_risk"]
    assert list(yaml.safe_load(files["profiles/profiles.yml"])) == ["card_risk"]
    assert not [name for name, text in files.items() if "my_features" in text]


def test_it_lacks_nothing_and_has_no_clock_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DBT_PROFILES_DIR", raising=False)
    make_starter(tmp_path / "shop", NOW)
    project = Project(tmp_path / "shop")
    project.check_setup()
    assert project.now is None
    assert not [n for n, text in texts(project.root).items() if "forebay_now" in text]


def test_the_contract_is_off_and_says_that_it_may_be_on(tmp_path: Path) -> None:
    make_starter(tmp_path / "shop", NOW)
    text = (tmp_path / "shop" / "dbt_project.yml").read_text()
    assert "Optional. With a contract each column" in text
    with_contract = text.replace("# +contract", "+contract")
    features = yaml.safe_load(with_contract)["models"]["shop"]["features"]
    assert features["+contract"] == {"enforced": True}
    assert "+contract" not in yaml.safe_load(text)["models"]["shop"]["features"]


def test_rows_are_the_same_for_the_same_instant_and_end_there() -> None:
    files = starter_files(NOW)
    assert files == starter_files(NOW)
    assert len(rows(files, "customers")) == CUSTOMERS
    payments = rows(files, "payments")
    assert len(payments) == PAYMENTS
    for row in payments:
        paid, loaded = (datetime.fromisoformat(row[c]) for c in ("paid_at", "loaded_at"))
        assert paid <= loaded <= NOW
    last = datetime.fromisoformat(payments[-1]["paid_at"])
    assert NOW - timedelta(days=1) < last
    labels = rows(files, "labels")
    assert 300 < len(labels) < PAYMENTS
    shares = sum(row["disputed"] == "true" for row in labels) / len(labels)
    assert 0.03 < shares < 0.3


def test_later_rows_are_the_same_moved(tmp_path: Path) -> None:
    moved = rows(starter_files(NOW + timedelta(days=1)), "payments")
    for early, late in zip(rows(starter_files(NOW), "payments"), moved, strict=True):
        assert early["amount_cents"] == late["amount_cents"]
        assert datetime.fromisoformat(late["paid_at"]) - datetime.fromisoformat(
            early["paid_at"]
        ) == timedelta(days=1)


@pytest.mark.parametrize("folder", ["2026", "dbt", "dbt-features", "___", "数据"])
def test_a_folder_that_makes_no_name_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ForebayError, match="makes no name of a dbt project"):
        make_starter(tmp_path / folder, NOW)
    assert not (tmp_path / folder).exists()


@pytest.mark.parametrize(
    ("folder", "name"),
    [("my_features", "my_features"), ("A b.c", "a_b_c"), ("_x", "x"), ("größe", "gr_e")],
)
def test_names(folder: str, name: str) -> None:
    assert project_name(Path("somewhere") / folder) == name


def test_an_empty_folder_is_filled_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    before = Path().stat().st_ino
    assert make_starter(Path(), NOW) == "shop"
    assert Path().stat().st_ino == before and Path("dbt_project.yml").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shop"]


def test_nothing_is_left_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        make_starter(tmp_path / "shop", NOW)
    assert list(tmp_path.iterdir()) == []


def test_the_readme_names_files_that_are_there(tmp_path: Path) -> None:
    make_starter(tmp_path / "shop", NOW)
    readme = (tmp_path / "shop" / "README.md").read_text()
    named = set(re.findall(r"(?:data|models)/[\w./]*", readme))
    assert len(named) >= 6
    for name in named:
        assert (tmp_path / "shop" / name).exists(), name
