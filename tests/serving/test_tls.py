"""A real server with a real certificate."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption

import forebay
from feature_specs.errors import ForebayError
from serving.settings import ServeSettings
from serving.sync import sync
from serving.tls import Renewal, Tls
from tests.feast.server import serving
from tests.serving.certificates import Certificate, make_certificate
from tests.serving.project import Project, carriers, instant, make_view

pytestmark = pytest.mark.slow

BODY = {"features": ["delays:n"], "entities": {"carrier": ["AA"]}}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("tls"))
    view = make_view("delays")
    made.add(view)
    made.build(view, carriers({"AA": (7, 0.0)}), instant("07-01T08:00"))
    sync(made.catalog)
    return made


@pytest.fixture(scope="module")
def certificate(project: Project) -> Certificate:
    return make_certificate(project.folder, "server")


@pytest.fixture(scope="module")
def client_certificate(project: Project) -> Certificate:
    return make_certificate(project.folder, "client")


@pytest.fixture(scope="module")
def url(project: Project, certificate: Certificate) -> Iterator[str]:
    settings = ServeSettings(
        tls_cert=str(certificate.cert), tls_key=str(certificate.key), tls_min_version="1.3"
    )
    with serving(project.catalog, project.folder, settings) as made:
        assert made.startswith("https://")
        yield made


@pytest.fixture(scope="module")
def strict_url(
    project: Project, certificate: Certificate, client_certificate: Certificate
) -> Iterator[str]:
    """Of a server that wants clients' certificates; its key stands in the certificate's file."""
    both = project.folder / "both.pem"
    both.write_text(certificate.cert.read_text() + certificate.key.read_text())
    settings = ServeSettings(tls_cert=str(both), tls_client_ca=str(client_certificate.cert))
    with serving(project.catalog, project.folder, settings) as made:
        yield made


def _trusting(certificate: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate.cert))


def test_our_client_httpx_and_curl(url: str, certificate: Certificate) -> None:
    with forebay.Client(url, tls=_trusting(certificate)) as client:
        assert client.vectors(["delays:n"], {"carrier": ["AA"]}).to_dicts()[0]["delays__n"] == 7
    with httpx.Client(verify=_trusting(certificate), trust_env=False) as asked:
        answer = asked.post(f"{url}/get-online-features", json=BODY)
        assert answer.json()["results"][1]["values"] == [7]
    if shutil.which("curl"):
        words = ["curl", "-sS", "--noproxy", "*", "--cacert", str(certificate.cert)]
        done = subprocess.run([*words, f"{url}/health"], capture_output=True, check=True)
        assert b'"ok"' in done.stdout


def test_who_does_not_trust_it_sends_nothing(url: str) -> None:
    with pytest.raises(ForebayError, match="certificate"):
        forebay.Client(url, retries=0).health()
    with pytest.raises(httpx.ConnectError, match="certificate"):
        httpx.get(f"{url}/health", trust_env=False)
    plain = url.replace("https", "http")
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{plain}/health", trust_env=False)


def test_older_versions_are_refused(url: str, certificate: Certificate) -> None:
    older = _trusting(certificate)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health", verify=older, trust_env=False)


def test_clients_have_to_have_a_certificate(
    strict_url: str, certificate: Certificate, client_certificate: Certificate
) -> None:
    context = _trusting(certificate)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{strict_url}/health", verify=context, trust_env=False)
    context.load_cert_chain(certificate.cert, certificate.key)  # signed by nobody it knows
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{strict_url}/health", verify=context, trust_env=False)
    context = _trusting(certificate)
    context.load_cert_chain(client_certificate.cert, client_certificate.key)
    assert httpx.get(f"{strict_url}/health", verify=context, trust_env=False).status_code == 200


def _serial(url: str) -> int:
    host, _, port = url.removeprefix("https://").partition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((host, int(port)), timeout=20) as plain,
        context.wrap_socket(plain) as wrapped,
    ):
        found = wrapped.getpeercert(binary_form=True)
        assert found is not None
        return x509.load_der_x509_certificate(found).serial_number


def _serials(url: str) -> set[int]:
    """The certificates of so many connections that each worker has taken some."""
    return {_serial(url) for _ in range(12)}


def _wait_for(url: str) -> None:
    """Return once workers listen: the socket that took the port before them is closed."""
    for _ in range(300):
        with suppress(OSError):
            _serial(url)
            return
        time.sleep(0.1)
    pytest.fail("no worker listens")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_renewed_certificate_is_taken_without_a_restart(
    project: Project, tmp_path: Path, workers: int
) -> None:
    before = make_certificate(tmp_path, "server")
    settings = ServeSettings(tls_cert=str(before.cert), tls_key=str(before.key))
    with serving(project.catalog, tmp_path, settings, workers) as url:
        _wait_for(url)
        assert _serials(url) == {before.serial}
        before.key.write_text("half written")
        time.sleep(6)  # the server looks every 5 seconds
        assert _serials(url) == {before.serial}
        after = make_certificate(tmp_path, "server")
        for _ in range(300):
            if _serials(url) == {after.serial}:
                return
            time.sleep(0.1)
    pytest.fail("the server has its old certificate")


def test_connections_made_while_certificates_change_get_one_or_the_other(tmp_path: Path) -> None:
    """Of 40 renewals beside handshakes none meets a certificate whose key has not come yet."""
    tls = Tls(str(tmp_path / "server.pem"), str(tmp_path / "server.key"))
    serials = {make_certificate(tmp_path, "server").serial}
    renewal, failed, seen, done = Renewal(tls), [], set(), threading.Event()

    def shake_hands() -> None:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        while not done.is_set():
            try:
                seen.add(_handshake(client, renewal.context))
            except ssl.SSLError as error:
                failed.append(error)

    shaking = threading.Thread(target=shake_hands)
    shaking.start()
    try:
        for _ in range(40):
            serials.add(make_certificate(tmp_path, "server").serial)
            renewal.look()
    finally:
        done.set()
        shaking.join()
    assert not failed
    assert len(seen) > 1
    assert seen <= serials


def _handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> int:
    """The serial of the certificate that a client is shown."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking, answering = client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)
    with suppress(ssl.SSLWantReadError):
        asking.do_handshake()
    with suppress(ssl.SSLWantReadError):
        answering.do_handshake()
    asking.do_handshake()
    found = asking.getpeercert(binary_form=True)
    assert found is not None
    return x509.load_der_x509_certificate(found).serial_number


def test_files_that_are_no_pair_are_told(tmp_path: Path) -> None:
    one, other = make_certificate(tmp_path, "one"), make_certificate(tmp_path, "other")
    secret = make_certificate(tmp_path, "secret", BestAvailableEncryption(b"password"))
    empty = tmp_path / "empty.pem"
    empty.touch()
    wrong = {
        "mismatch": Tls(str(one.cert), str(other.key)),
        "no such file": Tls(str(tmp_path / "none.pem")),
        "empty.pem": Tls(str(one.cert), str(one.key), client_ca=str(empty)),
        "secret.pem": Tls(str(secret.cert), str(secret.key)),
        "one.pem": Tls(str(one.cert)),
    }
    for said, tls in wrong.items():
        with pytest.raises(ForebayError, match=rf"(?s){said}.*Hint: name PEM files"):
            tls.context()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (ServeSettings(tls_key="x"), "no certificate"),
        (ServeSettings(tls_client_ca="x"), "no certificate"),
        (ServeSettings(tls_cert="x", tls_min_version="1.1"), r"no TLS 1\.1"),
    ],
)
def test_settings_that_do_not_go_together(settings: ServeSettings, said: str) -> None:
    with pytest.raises(ForebayError, match=said):
        settings.tls()
