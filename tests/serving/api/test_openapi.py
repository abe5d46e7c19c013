"""The OpenAPI document says what the server does: schemathesis compares the two."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from serving.api import create_app
from tests.serving.project import Project

pytestmark = pytest.mark.slow

#: What a schema does not say: which names there are, and that lists are of one length.
_NOT_IN_SCHEMAS: list[Any] = [positive_data_acceptance]


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_server_does_as_the_document_says(served: Project, mode: GenerationMode) -> None:
    found = schemathesis.openapi.from_asgi("/openapi.json", create_app(served.catalog))
    rejects = found.config.checks.negative_data_rejection
    rejects.expected_statuses = [*rejects.expected_statuses, "413"]
    operations = [result.ok() for result in found.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) == 8
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not operation.body:
            continue  # there is nothing in it that could be wrong

        @settings(
            max_examples=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(generation_mode=mode))
        def check(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(excluded_checks=_NOT_IN_SCHEMAS)

        check()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/get-online-features", {"features": ["delays:n"]}),
        ("/v1/vectors", {"features": ["delays:n"]}),
        ("/v1/services/arrival/vectors", {}),
    ],
)
def test_answers_are_as_the_document_says(
    served: Project, path: str, body: dict[str, object]
) -> None:
    app = create_app(served.catalog)
    entities = {"carrier": ["AA", "XX"], "origin": ["JFK", "EWR"], "flight": [1, 2]}
    with TestClient(app) as client:
        found = schemathesis.openapi.from_asgi("/openapi.json", app)
        response = client.post(path, json=body | {"entities": entities})
        assert response.status_code == 200, response.text
        template = path.replace("arrival", "{service}")
        found[template]["POST"].validate_response(response)
