"""Tokens of an identity provider: what is good, and every way that we know in which one is not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from feature_specs.errors import ForebayError
from serving.access.errors import KeysUnavailableError, UnauthenticatedError
from serving.access.gate import Gate
from serving.access.jwks import REFRESH_S, SOONEST_S, STALE_S, Jwks, parse_jwks
from serving.access.keys_file import KeysFile, TeamEntry, write_keys
from serving.access.rights import Rights
from serving.access.tokens import Token, Tokens
from serving.settings import ServeSettings

pytestmark = pytest.mark.many_cases

ISSUER, AUDIENCE = "https://idp.example.com/", "features"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC, ED = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()


def _jwk(made: str, **more: str) -> dict[str, Any]:
    return dict(json.loads(made)) | more


RSA_JWK = _jwk(RSAAlgorithm.to_jwk(RSA.public_key()), kid="rsa", use="sig", alg="RS256")
OTHER_JWK = _jwk(RSAAlgorithm.to_jwk(OTHER_RSA.public_key()), kid="other", use="sig")
EC_JWK = _jwk(ECAlgorithm.to_jwk(EC.public_key()), kid="ec")
ED_JWK = _jwk(OKPAlgorithm.to_jwk(ED.public_key()), kid="ed")
SHARED_JWK = {"kty": "oct", "kid": "shared", "k": base64.urlsafe_b64encode(b"s" * 32).decode()}


def claims(**changes: Any) -> dict[str, Any]:
    """Good ones, with changes; None takes one out."""
    now = datetime.now(UTC)
    made = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": now + timedelta(minutes=5),
        "nbf": now - timedelta(minutes=5),
        "sub": "service-7",
        "team": "risk",
    }
    return {name: value for name, value in (made | changes).items() if value is not None}


def sign(key: Any = RSA, alg: str = "RS256", kid: str | None = "rsa", **changes: Any) -> str:
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), key, algorithm=alg, headers=headers)


def _unsigned(head: dict[str, Any], signature: str = "") -> str:
    def part(value: Any) -> str:
        text = json.dumps(value, default=lambda each: int(each.timestamp()))
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    return f"{part(head)}.{part(claims())}.{signature}"


def scope(token: str) -> dict[str, Any]:
    headers = [(b"authorization", f"Bearer {token}".encode())]
    return {"type": "http", "method": "POST", "path": "/", "headers": headers}


@pytest.fixture
def jwks_file(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [RSA_JWK, EC_JWK, ED_JWK, SHARED_JWK]}))
    return path


@pytest.fixture
def gate(jwks_file: Path) -> Gate:
    return gate_of(str(jwks_file))


def gate_of(source: str, path: Path | None = None) -> Gate:
    jwks = Jwks(source)
    jwks.require()
    return Gate(path, Tokens(jwks, ISSUER, AUDIENCE, "team"))


@pytest.mark.parametrize(
    ("key", "alg", "kid"), [(RSA, "RS256", "rsa"), (EC, "ES256", "ec"), (ED, "EdDSA", "ed")]
)
def test_a_good_token_speaks_for_its_team(gate: Gate, key: Any, alg: str, kid: str) -> None:
    token = sign(key, alg, kid)
    for _ in range(2):
        caller = gate.caller(scope(token))
        assert (caller.team.name, caller.key) == ("risk", "jwt:service-7")
        assert caller.team.rights == Rights(frozenset({"risk"}), False)
    assert gate.caller(scope(sign(team=["ops"]))).team.name == "ops"
    assert gate.caller(scope(sign(aud=["x", AUDIENCE]))).team.name == "risk"
    # Half a character, which nothing could write.
    assert gate.caller(scope(sign(sub="a\ud800"))).key == "jwt:a?"


PUBLIC_PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _hs256(secret: bytes, kid: str) -> str:
    head = _unsigned({"alg": "HS256", "kid": kid}).rpartition(".")[0]
    made = hmac.new(secret, head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


BAD: dict[str, Callable[[], str]] = {
    "no signature": lambda: _unsigned({"alg": "none", "kid": "rsa"}),
    "no algorithm": lambda: _unsigned({"kid": "rsa"}),
    "a public key as a secret": lambda: _hs256(PUBLIC_PEM, "rsa"),
    "a shared secret of the set": lambda: _hs256(b"s" * 32, "shared"),
    "another's signature": lambda: sign(OTHER_RSA),
    "another algorithm of its key": lambda: sign(alg="RS512"),
    "another padding of its key": lambda: sign(alg="PS256"),
    "a key of its own": lambda: jwt.encode(
        claims(), OTHER_RSA, algorithm="RS256", headers={"kid": "rsa", "jwk": OTHER_JWK}
    ),
    "a key elsewhere": lambda: jwt.encode(
        claims(), OTHER_RSA, algorithm="RS256", headers={"kid": "x", "jku": "http://127.0.0.1:1/"}
    ),
    "an extension that must be understood": lambda: jwt.encode(
        claims(), RSA, algorithm="RS256", headers={"kid": "rsa", "crit": ["x"], "x": 1}
    ),
    "no key id": lambda: sign(kid=None),
    "a path for a key id": lambda: sign(kid="../../dev/null"),
    "a changed claim": lambda: ".".join(
        [sign().split(".")[0], sign(team="ops").split(".")[1], sign().split(".")[2]]
    ),
    "expired": lambda: sign(exp=datetime.now(UTC) - timedelta(minutes=2)),
    "not yet": lambda: sign(nbf=datetime.now(UTC) + timedelta(minutes=2)),
    "issued later": lambda: sign(iat=datetime.now(UTC) + timedelta(minutes=2)),
    "no end": lambda: sign(exp=None),
    "another audience": lambda: sign(aud="elsewhere"),
    "a part of the audience": lambda: sign(aud="feature"),
    "no audience": lambda: sign(aud=None),
    "another issuer": lambda: sign(iss="https://idp.example.com"),
    "no issuer": lambda: sign(iss=None),
    "no team": lambda: sign(team=None),
    "an empty team": lambda: sign(team=""),
    "a number": lambda: sign(team=7),
    "two teams": lambda: sign(team=["ops", "risk"]),
    "a team of two lines": lambda: sign(team="risk\nops"),
    "a team that hides letters": lambda: sign(team="risk\u200b"),
    "a team between blanks": lambda: sign(team=" risk"),
    "a long team": lambda: sign(team="r" * 101),
    "dots": lambda: "..",
    "nonsense": lambda: "a.b.c",
}


@pytest.mark.parametrize("kind", BAD)
def test_no_other_is_let_in_or_shown(gate: Gate, kind: str) -> None:
    token = BAD[kind]()
    for _ in range(2):
        with pytest.raises(UnauthenticatedError) as told:
            gate.caller(scope(token))
        parts = [part for part in token.split(".") if len(part) > 3]
        assert not any(part in str(told.value) for part in parts)


class Counting(Tokens):
    """Counts the tokens whose signatures are checked."""

    read_tokens = 0

    def read(self, text: str) -> Token:
        self.read_tokens += 1
        return super().read(text)


def test_a_good_token_is_checked_again_once_it_has_ended(jwks_file: Path) -> None:
    jwks = Jwks(str(jwks_file))
    jwks.require()
    tokens, now = Counting(jwks, ISSUER, AUDIENCE, "team"), [datetime.now(UTC)]
    gate, token = Gate(None, tokens, now=lambda: now[0]), sign()
    for _ in range(3):
        gate.caller(scope(token))
    assert tokens.read_tokens == 1
    now[0] += timedelta(minutes=5, seconds=31)
    gate.caller(scope(token))
    assert tokens.read_tokens == 2
    with pytest.raises(UnauthenticatedError, match="expired"):
        gate.caller(scope(sign(exp=datetime.now(UTC) - timedelta(seconds=31))))


def test_a_key_that_is_taken_back_ends_its_tokens(gate: Gate, jwks_file: Path) -> None:
    token = sign()
    assert gate.caller(scope(token)).team.name == "risk"
    jwks_file.write_text(json.dumps({"keys": [OTHER_JWK]}))
    gate.look()
    with pytest.raises(UnauthenticatedError, match="key that is not known"):
        gate.caller(scope(token))
    # Of a single key a token need not name the id.
    assert gate.caller(scope(sign(OTHER_RSA, kid=None))).team.name == "risk"


def test_the_file_of_teams_counts_for_tokens_too(jwks_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, KeysFile({"risk": TeamEntry(("ops",))}))
    gate, token = gate_of(str(jwks_file), path), sign()
    assert gate.caller(scope(token)).team.rights == Rights(frozenset({"ops"}), True)
    write_keys(path, KeysFile({"risk": TeamEntry((), "public")}))
    gate.look()
    assert gate.caller(scope(token)).team.rights == Rights(frozenset(), False)
    with pytest.raises(UnauthenticatedError):
        gate.caller(scope("fbk_0123456789ab_" + "x" * 43))


@dataclass
class Provider:
    """A server of a key set.

    Attributes:
        answer: status and body of the next answers; all of an answer where the status is 0.
    """

    url: str
    answer: list[Any] = field(default_factory=lambda: [200, b""])
    asked: int = 0


@pytest.fixture
def provider() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked += 1
            status, body = made.answer
            if status == 0:
                self.wfile.write(body)
                return
            self.send_response(status)
            if status == 302:
                self.send_header("location", "/elsewhere")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Provider(f"http://127.0.0.1:{server.server_port}/keys")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def _body(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def test_keys_rotate_at_a_url(provider: Provider) -> None:
    now = [1000.0]
    provider.answer = [200, _body(RSA_JWK)]
    jwks = Jwks(provider.url, now=lambda: now[0])
    jwks.require()
    gate = Gate(None, Tokens(jwks, ISSUER, AUDIENCE, "team"))
    new = sign(OTHER_RSA, kid="other")
    # A key that is not known is looked for, but not more often than every some seconds.
    with pytest.raises(UnauthenticatedError):
        gate.caller(scope(new))
    provider.answer = [200, _body(RSA_JWK, OTHER_JWK)]
    now[0] += SOONEST_S + 1
    with pytest.raises(KeysUnavailableError):
        gate.caller(scope(new))
    gate.look()
    assert gate.caller(scope(new)).team.name == "risk"
    asked = provider.asked
    for number in range(50):
        with pytest.raises((UnauthenticatedError, KeysUnavailableError)):
            gate.caller(scope(sign(OTHER_RSA, kid=f"made up {number}")))
        gate.look()
    assert provider.asked == asked == 2
    # Without being asked for they are read anew too; one that is gone is gone for tokens known so far.
    provider.answer = [200, _body(OTHER_JWK)]
    old = sign()
    gate.caller(scope(old))
    now[0] += REFRESH_S + 1
    gate.look()
    with pytest.raises(UnauthenticatedError):
        gate.caller(scope(old))


@pytest.mark.parametrize(
    "answer",
    [
        [500, b""],
        [302, b""],
        [200, b"{"],
        [200, b"[]"],
        [200, _body(SHARED_JWK)],
        [200, b" " * 2**21],
        [200, b"[" * 100_000],
        [0, b""],
        [0, b"no HTTP\r\n\r\n"],
        [0, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab"],
    ],
    ids=[
        *("500", "elsewhere", "no JSON", "no set", "no public key", "too long", "too deep"),
        *("nothing", "no HTTP", "cut off"),
    ],
)
def test_keys_that_cannot_be_read_stay_for_a_day(provider: Provider, answer: list[Any]) -> None:
    now = [1000.0]
    provider.answer = answer
    with pytest.raises(ForebayError, match="Hint: name a file or an https URL"):
        Jwks(provider.url).require()
    provider.answer = [200, _body(RSA_JWK)]
    jwks = Jwks(provider.url, now=lambda: now[0])
    jwks.require()
    gate = Gate(None, Tokens(jwks, ISSUER, AUDIENCE, "team"))
    provider.answer = answer
    now[0] += REFRESH_S + 1
    gate.look()
    assert gate.problem is not None and "as they were" in gate.problem
    assert gate.caller(scope(sign())).team.name == "risk"
    now[0] += STALE_S
    gate.look()
    with pytest.raises(KeysUnavailableError):
        now[0] += SOONEST_S + 1
        gate.caller(scope(sign(sub="another")))


@pytest.mark.parametrize(
    "url", ["http://idp.example.com/keys", "ftp://127.0.0.1/x", "http://127.0.0.1.example.com/"]
)
def test_keys_come_encrypted(url: str) -> None:
    with pytest.raises(ForebayError, match="unencrypted"):
        Jwks(url)


def test_short_keys_are_refused() -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    text = _body(_jwk(RSAAlgorithm.to_jwk(short.public_key()), kid="short"))

    jwks = Jwks("/nowhere")
    jwks._keys = parse_jwks(text, "")
    gate = Gate(None, Tokens(jwks, ISSUER, AUDIENCE, "team"))
    with pytest.raises(UnauthenticatedError):
        gate.caller(scope(sign(short, kid="short")))


def test_settings_of_tokens(jwks_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ForebayError, match="--jwt-issuer and --jwt-audience"):
        ServeSettings(jwks=str(jwks_file), jwt_issuer=ISSUER).gate()
    settings = ServeSettings(jwks=str(jwks_file), jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    settings.check_address("0.0.0.0")
    gate = settings.gate()
    assert gate is not None and gate.caller(scope(sign())).team.name == "risk"
    missing = ServeSettings(jwks="/nowhere", jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    with pytest.raises(ForebayError, match="as they were"):
        missing.gate()
    restarted = missing.gate(restarted=True)
    assert restarted is not None and restarted.problem is not None
