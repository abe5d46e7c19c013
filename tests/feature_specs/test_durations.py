"""Durations: whole words of a table, or none at all."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from types import SimpleNamespace

import jinja2
import pytest

from feature_specs import FeatureView, Leaf, compile_view
from feature_specs.durations import parse_duration
from feature_specs.errors import ForebayError, SpecError
from feature_specs.view_options import read_options
from forebay.compilation.generate_macros import ServiceSql, dispatcher
from lakehouse.training_record import readings_of

READ = {
    "5 s": 5, "5 sec": 5, "1 second": 1, "90 seconds": 90, "5 m": 300, "5min": 300, "2 mins": 120,
    "15 Minutes": 900, "6h": 21600, "1 hr": 3600, "2 HOURS": 7200, "7d": 604800, " 7 days ": 604800,
    "2w": 1209600, "1 week": 604800, "0 days": 0,
}  # fmt: skip

REFUSED = (
    "5 ms", "500 ms", "5 mss", "5 us", "5 mon", "5 month", "1 year", "5 dayss", "5 minutess", "5 ss", "5",
    "", "-5 minutes", "1.5 hours", "1 day 2 hours", "5 fortnights", "1:30:00", "\u0665 days", "5 minutes'",
)  # fmt: skip


@pytest.mark.parametrize("text", READ)
def test_a_whole_word_is_read(text: str) -> None:
    found = parse_duration(text, field="ttl", where="v.yml")
    assert found == timedelta(seconds=READ[text])
    assert read_options({"entities": ["k"], "ttl": text, "freshness": text}, "v.yml").ttl == found
    assert _lag(text) == str(READ[text] * 1_000_000)


@pytest.mark.parametrize("text", REFUSED)
def test_the_rest_is_refused(text: str) -> None:
    for option in ("ttl", "freshness"):
        with pytest.raises(SpecError, match="not a duration"):
            read_options({"entities": ["k"], option: text}, "v.yml")
    view = FeatureView("v", "select k, count(*) as n from e group by k", ["k"])
    leaf = Leaf("e", {"k": "VARCHAR", "ts": "TIMESTAMPTZ"}, event_time="ts")
    compiled = compile_view(view, [leaf])
    with pytest.raises(SpecError, match="not a duration"):
        compiled.point_in_time(lag=text)
    with pytest.raises(ValueError, match="not a duration"):
        _lag(text)


def test_a_duration_longer_than_all_time_is_refused() -> None:
    with pytest.raises(SpecError, match="longer than time"):
        parse_duration("99999999999999 weeks", field="ttl", where="v.yml")


@pytest.mark.parametrize("written", ["'5' ms", "5 ms", "'5' m", "5 d", "'2' mon"])
def test_an_interval_s_unit_is_a_whole_word(written: str) -> None:
    sql = f"select k, count(*) as n from e where ts > now() - interval {written} group by k"
    leaf = Leaf("e", {"k": "VARCHAR", "ts": "TIMESTAMPTZ"}, event_time="ts")
    with pytest.raises(ForebayError, match="not a whole word"):
        compile_view(FeatureView("v", sql, ["k"]), [leaf])


def test_a_macro_without_a_lag_has_none() -> None:
    assert _lag(None) == "0"


def _lag(text: str | None) -> str:
    """Microseconds that dbt's point_in_time(..., lag=text) hands to a service's statement."""

    class Exceptions:
        @staticmethod
        def raise_compiler_error(what: str) -> None:
            raise ValueError(what)

    macros = dispatcher({"s": ServiceSql("s", "", ())}, "0")
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])
    environment.globals |= {
        "modules": SimpleNamespace(re=re),
        "exceptions": Exceptions,
        "forebay_service_s": lambda spine, timestamp, lag_us: lag_us,
        "tojson": json.dumps,
        "config": {"materialized": "training_set"},
    }
    module = environment.from_string(macros).make_module()
    made = str(module.forebay_point_in_time("spine", "s", lag=text))  # type: ignore[attr-defined]
    (said,) = readings_of(made)
    lag = re.sub(r"/\*.*\*/", "", made).strip()
    assert (said.service, said.timestamp, str(said.lag_us)) == ("s", "event_timestamp", lag)
    return lag
