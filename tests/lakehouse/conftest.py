"""What several tests of the lakehouse run under."""

from __future__ import annotations

import pytest

from lakehouse.feature_tables import clean_files, materialize


@pytest.fixture(params=["anew", "in place"])
def how_rows_are_written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small tables are written anew; here also as large ones are, cleaned up every few steps."""
    if request.param == "in place":
        monkeypatch.setattr(materialize, "WRITTEN_ANEW", -1)
        monkeypatch.setattr(clean_files, "FAN", 3)
    return str(request.param)
