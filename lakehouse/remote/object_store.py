"""What a lake elsewhere needs before it is opened, and what is wrong where it cannot be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pyiceberg.exceptions import NotInstalledError

from feature_specs.errors import ForebayError
from feature_specs.lake_properties import public_uri

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


def from_environment(properties: Mapping[str, str]) -> dict[str, str]:
    """The properties with S3's endpoint and region, where only AWS's variables name them.

    pyarrow takes keys from there by itself, but no endpoint; and without a region pyiceberg asks
    Amazon where a bucket is, whoever's store holds it. What a catalog vends with a table goes before
    both: its region is called ``client.region`` too.
    """
    found = dict(properties)
    endpoint = found.get("s3.endpoint") or _first(_ENDPOINTS)
    if endpoint:
        found["s3.endpoint"] = endpoint
    if not (found.get("s3.region") or found.get("client.region")):
        region = _first(_REGIONS) or ("us-east-1" if endpoint else None)
        if region:
            found["client.region"] = region
    return found


def _first(names: Sequence[str]) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def check_plain_keys(properties: Mapping[str, str]) -> None:
    """Refuse a warehouse of an object store whose files would all have one key.

    pyiceberg takes what follows a ``?`` or ``#`` for no part of a file's place.

    Raises:
        ForebayError: the warehouse has one of them.
    """
    warehouse = properties.get("warehouse", "")
    odd = re.search(r"[?#]", warehouse)
    if "://" in warehouse and odd:
        raise ForebayError(
            f"the warehouse {warehouse} has a {odd[0]!r} in it, from which on Iceberg's clients "
            "would leave its files' names away",
            where="profiles.yml",
            hint="name a folder without ? and #",
        )


@contextmanager
def opening(name: str, properties: Mapping[str, str]) -> Iterator[None]:
    """Tell what is wrong where a catalog cannot be opened.

    Raises:
        ForebayError: its client is not installed, or its properties do not fit together.
    """
    try:
        yield
    except NotInstalledError:
        raise _client_missing(properties) from None
    except ValueError as error:
        uri, said = properties.get("uri", ""), str(error)
        if any(part in uri and part not in public_uri(uri) for part in re.findall("'(.+?)'", said)):
            raise ForebayError(
                f"cannot open the Iceberg catalog {name!r}: its uri is not one",
                where="profiles.yml",
                hint="write @, : and / in a password as %40, %3A and %2F",
            ) from None  # what was taken for a port is a part of the password
        raise ForebayError(
            f"cannot open the Iceberg catalog {name!r}: {said}",
            where="profiles.yml",
            hint="check uri and warehouse in the forebay plugin's config",
        ) from error


def _client_missing(properties: Mapping[str, str]) -> ForebayError:
    uri = properties.get("uri", "")
    postgres = uri.startswith("postgresql")
    return ForebayError(
        f"the client of the catalog at {public_uri(uri)} is not installed",
        where="profiles.yml",
        hint="pip install 'forebay[postgres]'"
        if postgres
        else "install the Python driver that its URI names, and what "
        f"'pyiceberg[{properties.get('type')}]' needs",
    )
