"""What of `forebay train --engine spark` is Spark's own: its section of the profile, other catalogs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from feature_specs.errors import ForebayError
from lakehouse.engines.spark_catalog import catalog_conf
from tests.forebay.engines.conftest import SharedProject
from tests.forebay.engines.edges import write_spine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def _profiles(project: SharedProject, folder: Path, section: dict[str, object]) -> dict[str, str]:
    """The environment in which the profile has another section `spark`."""
    text = (project.root / "profiles" / "profiles.yml").read_text()
    folder.mkdir()
    (folder / "profiles.yml").write_text(
        re.sub(r"spark: .*", f"spark: {json.dumps(section)}", text)
    )
    return {"DBT_PROFILES_DIR": str(folder)}


def _refused(project: SharedProject, folder: Path, **section: object) -> str:
    """What `forebay train` says that fails, with another section `spark` in the profile."""
    env = _profiles(project, folder / "profiles", section)
    spine, out = write_spine(folder / "spine.parquet", 5), folder / "x.parquet"
    words = ("train", "small", "--spine", str(spine), "--engine", "spark", "--out", str(out))
    process = project.start(*words, env=env)
    said, _ = process.communicate()
    assert process.returncode == 2, said
    assert "Traceback" not in said
    assert not out.exists()
    return " ".join(said.split())


def test_a_setting_that_is_none_is_named(on_spark: SharedProject, tmp_path: Path) -> None:
    said = _refused(on_spark, tmp_path, maste="local")
    assert "'maste' is not a setting" in said
    assert "master" in said


def test_a_catalog_in_postgresql_keeps_its_password_out_of_the_uri() -> None:
    uri = "postgresql+psycopg2://me:p%40ss@db:5432/lake?sslmode=require"
    conf = catalog_conf({"name": "lake", "uri": uri, "warehouse": "file:///srv/w"}, "profiles.yml")
    key = "spark.sql.catalog.lake"
    assert conf[f"{key}.uri"] == "jdbc:postgresql://db:5432/lake?sslmode=require"
    assert (conf[f"{key}.jdbc.user"], conf[f"{key}.jdbc.password"]) == ("me", "p@ss")


def test_other_catalogs_are_the_users_to_write() -> None:
    lake = {"name": "lake", "uri": "http://localhost:8181", "warehouse": "s3://lake/warehouse"}
    with pytest.raises(ForebayError, match="has to be written out"):
        catalog_conf(lake, "profiles.yml")


def test_an_engine_that_was_closed_cancels_no_other(on_spark: SharedProject) -> None:
    """Both share this process's Spark, where a group of jobs that was cancelled stays so."""
    for _ in range(2):
        engine = on_spark.connect()
        assert engine.run("select count(*) from range(10)") == [(10,)]
        engine.close()
