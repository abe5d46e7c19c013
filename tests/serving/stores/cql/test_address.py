"""Addresses of CQL stores."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from feature_specs.errors import ForebayError
from serving.stores import open_store
from serving.stores.cql.address import PASSWORD, USER, parse_address


def test_hosts_port_keyspace_and_datacenter() -> None:
    address = parse_address("cql://a,b.example:9043/features?dc=eu_west&state_seconds=0.5", {})
    assert (address.hosts, address.port) == (("a", "b.example"), 9043)
    assert (address.keyspace, address.dc, address.state_seconds) == ("features", "eu_west", 0.5)
    assert (address.user, address.password, address.tls) == (None, None, False)
    assert parse_address("cql://a/features", {}).port == 9042


def test_user_and_password_come_from_the_environment() -> None:
    environment = {USER: "forebay", PASSWORD: "secret"}
    address = parse_address("cql://a/features", environment)
    assert (address.user, address.password) == ("forebay", "secret")
    assert parse_address("cql://a/features?user=other", environment).user == "other"


def test_naming_a_certificate_turns_tls_on() -> None:
    assert parse_address("cql://a/features?ca=/etc/ca.pem", {}).tls
    assert parse_address("cql://a/features?tls=true", {}).tls


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("cql://a", "names no keyspace"),
        ("cql:///features", "names no hosts"),
        ("cql://a/fea-tures", "CQL refuses"),
        ("cql://a:1,b:2/features", "more than one port"),
        ("cql://a:none/features", "port 'none'"),
        ("cql://a/features?datacenter=x", "no option 'datacenter'"),
        ("cql://a/features?tls=yes", "must be true or false"),
        ("cql://a/features?state_seconds=-1", "from 0 to 60"),
        ("cql://a/features?user=me", "user alone"),
        ("cql://a/features?reader=psycopg", "must be acsylla or scylla-driver"),
    ],
)
def test_addresses_that_are_none(uri: str, said: str) -> None:
    with pytest.raises(ForebayError, match=said) as caught:
        parse_address(uri, {})
    assert caught.value.hint


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ForebayError, match="holds no password") as caught:
        parse_address("cql://me:secret@a/features", {})
    assert "secret" not in str(caught.value) and PASSWORD in caught.value.hint


def test_without_the_driver_the_command_that_installs_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none(name: str, *_: Any) -> None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", none)
    with pytest.raises(ForebayError) as caught:
        open_store("cql://127.0.0.1:1/features")
    assert "pip install 'forebay[scylla]'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_repr_holds_the_password() -> None:
    found = parse_address("cql://h/ks", {USER: "me", PASSWORD: "s3cret"})
    assert found.password == "s3cret" and "s3cret" not in repr(found)
