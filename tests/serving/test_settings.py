"""What a server is told, and what it refuses to start with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from feature_specs.errors import ForebayError
from serving.http_protocol import CLIENT_LIMITS
from serving.listen import listen
from serving.lookup.limits import LIMITS
from serving.server import serve
from serving.settings import OPEN, ServeSettings
from serving.sync import sync
from tests.serving.project import Project, carriers, instant, make_view


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_on_this_machine_everybody_may_be_answered(host: str) -> None:
    with listen(host, 0) as taken:
        OPEN.check_address(taken.getsockname()[0])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0"])
def test_elsewhere_nobody_without_a_key(host: str) -> None:
    with listen(host, 0) as taken:
        address = taken.getsockname()[0]
    with pytest.raises(ForebayError, match="--insecure"):
        OPEN.check_address(address)
    ServeSettings(keys="keys.json").check_address(address)
    ServeSettings(insecure=True).check_address(address)


def test_a_server_does_not_start_where_others_reach_it(project: Project) -> None:
    view = make_view("delays")
    project.add(view)
    project.build(view, carriers({"AA": (7, 0.0)}), instant("07-01T08:00"))
    sync(project.catalog)
    with pytest.raises(ForebayError, match=r"0\.0\.0\.0 can be reached"):
        serve(project.catalog, "0.0.0.0", 0)


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.0.0.1", "fe80::1%eth0"])
def test_addresses_that_others_reach(address: str) -> None:
    with pytest.raises(ForebayError, match="--insecure"):
        OPEN.check_address(address)


def test_settings_go_to_workers_and_back() -> None:
    limits = {"cells": 7, "queue_s": 0.5, "headers_s": 3, "connections": 9.0}
    given = {"keys": "k", "insecure": True, "tls_cert": "c", "cells_per_second": 5}
    made = ServeSettings.of({**given, "limits": limits}, "profile")
    assert made.request_limits() == replace(LIMITS, cells=7, queue_s=0.5)
    assert made.client_limits() == replace(CLIENT_LIMITS, headers_s=3.0, connections=9)
    assert type(made.client_limits().connections) is int
    assert ServeSettings.loads(made.dumps()) == made


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kees": "x"}, "did you mean 'keys'"),
        ({"keys": True}, "keys is not text"),
        ({"insecure": "yes"}, "insecure is not a boolean"),
        ({"requests_per_second": 0}, "requests_per_second is not a number above 0"),
        ({"limits": ["cells"]}, "limits are not a mapping"),
        ({"limits": {"cels": 1}}, "did you mean 'cells'"),
        ({"limits": {"cells": -1}}, "cells is not a number above 0"),
        ({"limits": {"cells": True}}, "cells is not a number above 0"),
        ({"limits": {"cells": 1.5}}, "cells is not a whole number"),
        ({"limits": {"cells": 2_000_000}}, "cells_in_work be at least cells"),
    ],
)
def test_a_wrong_setting_is_told(given: dict[str, object], said: str) -> None:
    with pytest.raises(ForebayError, match=said):
        ServeSettings.of(given, "profiles.yml")
