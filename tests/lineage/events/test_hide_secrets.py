"""No credential is in what leaves the machine."""

from __future__ import annotations

import pytest

from lineage.events.hide_secrets import hide_secrets


@pytest.mark.parametrize(
    "text",
    [
        "cannot open postgresql+psycopg2://bob:hunter2@db:5432/lake",
        "https://hunter2@github.com/acme/shop.git: not found",
        "set s3.secret-access-key=hunter2 in the profile",
        "create secret (type s3, secret 'x', password => 'hunter2')",
        '{"api_key": "hunter2", "a": 1}',
        "authorization: Bearer hunter2",
        "token: hunter2",
        "PASSWORD=hunter2;",
        "http://bob:p@hunter2@localhost:1/x",
        "attach '' as pg (type postgres, password 'hunter2')",
        "https://bucket/a?X-Amz-Signature=hunter2&x=1",
        "Driver=x;Pwd=hunter2;",
        "authorization: Basic hunter2=",
    ],
)
def test_what_looks_like_a_credential_goes(text: str) -> None:
    hidden = hide_secrets(text)
    assert "hunter2" not in hidden and "***" in hidden


@pytest.mark.parametrize(
    "text",
    [
        "column 'token_count' is missing from the file",
        "select count(*) as passwords_tried from logins where at > now()",
        "file:///srv/lake/raw/a: no such file",
        "mail risk@example.com",
        "the basic plan",
        "select 'http://a/b', 'x@y.org' from t",
    ],
)
def test_what_does_not_stays(text: str) -> None:
    assert hide_secrets(text) == text
