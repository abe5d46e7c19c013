"""Ask a schema registry (Confluent's REST API) for the Avro schemas that messages name by id."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from feature_specs.errors import DataError
from lakehouse.stream.avro_columns import MisfitError

#: Keys of the profile's ``kafka`` that are not the client's.
URL, LOGIN = "schema.registry.url", "schema.registry.basic.auth.user.info"
_ANSWER_S = 10.0
#: What it says of an id that it does not have; a 404 of a proxy says something else.
_NO_SUCH_SCHEMA = 40403
_PROFILE = "profiles.yml, kafka of the forebay plugin's config"


class RegistryDownError(DataError):
    """The registry does not answer; it may again later."""


class SchemaRegistry:
    """The registry of a profile.

    Raises:
        DataError: the profile names none.
    """

    def __init__(self, config: Mapping[str, str], source: str) -> None:
        self._urls = [u.strip().rstrip("/") for u in config.get(URL, "").split(",") if u.strip()]
        self._login = config.get(LOGIN, "")
        if not self._urls:
            raise DataError(
                f"source {source} has `format: avro` and names no schema, and the profile names "
                "no schema registry",
                where=_PROFILE,
                hint=f'add such as `{URL}: "http://localhost:8081"` beside bootstrap.servers, or '
                "`schema: FILE.avsc` to meta.stream if messages are plain Avro",
            )

    def schema(self, number: int) -> str:
        """The text of a schema. One that was registered never changes.

        Raises:
            MisfitError: there is none of that id, or it is not Avro.
            RegistryDownError: no server of it answers.
            DataError: it refuses to say.
        """
        said = self._ask(number)
        kind = said.get("schemaType") or "AVRO"
        if kind != "AVRO":
            raise MisfitError(f"schema {number} of the registry is {kind} and not Avro")
        if said.get("references"):
            raise MisfitError(f"schema {number} of the registry refers to others: not supported")
        return str(said.get("schema"))

    def _ask(self, number: int) -> dict[str, Any]:
        failed = ""
        for url in self._urls:
            request = urllib.request.Request(f"{url}/schemas/ids/{number}", headers=self._headers())
            try:
                with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:
                    said = json.loads(answer.read())
            except urllib.error.HTTPError as error:
                with error:
                    if error.code == 404 and _code(error.read()) == _NO_SUCH_SCHEMA:
                        raise MisfitError(f"the schema registry has no schema {number}") from None
                    if error.code < 500 and error.code != 429:
                        raise _refused(url, f"HTTP {error.code}") from None
                    failed = f"HTTP {error.code}"
            except (OSError, http.client.HTTPException, ValueError) as error:
                failed = str(error) or type(error).__name__
            else:
                if isinstance(said, dict):
                    return said
                raise _refused(url, "what it answers is no schema")
        raise RegistryDownError(
            f"the schema registry at {', '.join(self._urls)} does not answer: {failed}",
            where=_PROFILE,
            hint=f"start it, or correct {URL}",
        )

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        if self._login:
            headers["Authorization"] = f"Basic {base64.b64encode(self._login.encode()).decode()}"
        return headers


def _code(body: bytes) -> int:
    try:
        return int(json.loads(body)["error_code"])
    except (ValueError, KeyError, TypeError):
        return 0


def _refused(url: str, reason: str) -> DataError:
    return DataError(
        f"the schema registry at {url} refuses: {reason}",
        where=_PROFILE,
        hint=f"check {URL} and {LOGIN} there",
    )
