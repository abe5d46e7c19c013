"""What errors of an Iceberg catalog's server and of an object store mean, and what to do about them.

They are known by their texts, since each client has classes of its own.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class ServerFault(NamedTuple):
    """What is wrong, where, and how to fix it; none holds a credential.

    Attributes:
        whole: whether nothing else that the command does could go on.
    """

    what: str
    where: str
    hint: str
    whole: bool = True


_STORE, _CATALOG = "the object store", "the Iceberg catalog"
_KEYS = (
    "check the credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, s3.access-key-id and "
    "s3.secret-access-key in the forebay plugin's config, or what the catalog vends"
)
_ADDRESS = (
    "check s3.endpoint and s3.region in the forebay plugin's config (or AWS_ENDPOINT_URL_S3 and "
    "AWS_REGION), and that it runs"
)
_REFUSED = (
    "ACCESS_DENIED|INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|INVALID_CLIENT_TOKEN_ID|"
    "EXPIRED_TOKEN|MISSING_AUTHENTICATION_TOKEN"
)


def explain_server(text: str) -> ServerFault | None:
    """What the text of an error says of a server; None where it is about something else."""
    return _of_a_store(text) or _of_a_database(text) or _of_a_rest_catalog(text)


def _of_a_store(text: str) -> ServerFault | None:
    said = re.search(r"AWS Error (\w+(?: \(HTTP status \d+\))?) during (\w+)", text)
    if said is None:
        return None
    named = re.search(r"in bucket '([^']+)'", text)
    where = f"bucket {named[1]}" if named else _STORE
    if "NO_SUCH_BUCKET" in said[1]:
        hint = "create it, or correct `warehouse` in the forebay plugin's config"
        return ServerFault("there is no such bucket", where, hint)
    if "NETWORK_CONNECTION" in said[1]:
        why = re.search(r"Details: ([^\n]+)", text)
        what = "no connection to the object store" + (f": {why[1].rstrip('.')}" if why else "")
        return ServerFault(what, where, _ADDRESS)
    if re.search(rf"{_REFUSED}|status 40[13]", said[1]):
        return ServerFault(f"the object store refuses {said[2]}: {said[1]}", where, _KEYS)
    if "NO_SUCH_KEY" in said[1] or "RESOURCE_NOT_FOUND" in said[1]:
        hint = "restore it, or roll the table back to a snapshot"
        return ServerFault("a file is missing in the object store", where, hint, whole=False)
    return ServerFault(f"the object store fails at {said[2]}: {said[1]}", where, _ADDRESS)


def _of_a_database(text: str) -> ServerFault | None:
    said = re.search(r"\(psycopg2?\.\w+\) ([^\n]+)", text)
    if said is None:
        return None
    # What a password has before its last @ is taken for its end, and the rest for a host.
    what = re.sub('host name "[^"]*@', 'host name "', said[1].strip().rstrip("."))
    hint = "check uri in the forebay plugin's config"
    if re.search("authentication failed|no password supplied", what):
        hint = "check user and password in the forebay plugin's uri, or PGPASSWORD or ~/.pgpass"
    elif re.search("could not translate|connection .*failed|timeout", what):
        hint = "check the address in the forebay plugin's uri, and that PostgreSQL runs there"
    return ServerFault(what, _CATALOG, hint)


def _of_a_rest_catalog(text: str) -> ServerFault | None:
    pool = re.search(r"HTTPS?ConnectionPool\(host='([^']+)', port=(\d+)\)", text)
    if pool is not None:
        why = re.search(r"(\[Errno -?\d+\] [\w ]+|timed out|SSL\w*: [\w ]+)", text)
        what = f"no connection to {pool[1]}:{pool[2]}" + (f": {why[1]}" if why else "")
        hint = "check uri in the forebay plugin's config, and that the REST catalog runs there"
        return ServerFault(what, _CATALOG, hint)
    refused = re.search(r"(UnauthorizedError|ForbiddenError|OAuthError)\b", text)
    if refused is not None or re.search(r"\b40[13] Client Error", text):
        hint = "check `credential` or `token` in the forebay plugin's config"
        return ServerFault("the REST catalog refuses these credentials", _CATALOG, hint)
    return None
