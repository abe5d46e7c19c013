"""The real Feast client of a server that wants a key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feature_specs.access import ViewAccess
from serving.access.api_key import make_key
from serving.access.keys_file import KeysFile, write_keys
from serving.settings import ServeSettings
from tests.feast.client import FeastError, feast_client
from tests.feast.server import serving
from tests.serving.project import Project

pytestmark = pytest.mark.slow
ROWS = [{"driver_id": 1}]


@pytest.fixture(scope="module")
def guarded(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """The URL of a server, and a key that reads one view."""
    folder = tmp_path_factory.mktemp("guarded")
    text, stored = make_key("ads", datetime.now(UTC))
    write_keys(folder / "keys.json", KeysFile().with_key(stored))
    access = {
        "rides": ViewAccess(),
        "by_day": ViewAccess("private", "risk", "risk@x.org"),
    }
    catalog = replace(project.catalog, access=access, groups=("risk",))
    with serving(catalog, folder, ServeSettings(keys=str(folder / "keys.json"))) as url:
        yield url, text


def test_a_key_goes_where_feasts_token_goes(guarded: tuple[str, str], tmp_path: Path) -> None:
    url, key = guarded
    with feast_client(tmp_path / "ads", url, token=key) as client:
        assert client.ask(["rides:n"], rows=ROWS)["values"]["n"] == [3]
        with pytest.raises(FeastError, match=r"ask risk@x\.org") as told:
            client.ask(["by_day:n"], rows=[{"day": 1}])
        assert (told.value.module, told.value.kind) == ("feast.errors", "FeastPermissionError")


def test_without_a_good_key_it_raises(guarded: tuple[str, str], tmp_path: Path) -> None:
    wrong = "fbk_000000000000_" + "x" * 43
    with (
        feast_client(tmp_path / "nobody", guarded[0], token=wrong) as client,
        pytest.raises(FeastError, match="401"),
    ):
        client.ask(["rides:n"], rows=ROWS)
