"""TLS of a server: its certificate, which is taken anew where the file changes, and clients' ones."""

from __future__ import annotations

import os
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

from feature_specs.errors import ForebayError

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True)
class Tls:
    """What a server's TLS is made of.

    Attributes:
        cert: a file of the certificate and those that it is signed by; key: of its key, empty where
            that stands in the same file.
        client_ca: a file of certificates by which clients' certificates must be signed; empty where
            clients need none.
        min_version: ``1.2`` or ``1.3``.
    """

    cert: str
    key: str = ""
    client_ca: str = ""
    min_version: str = "1.2"

    def context(self) -> ssl.SSLContext:
        """A context for a server.

        Raises:
            ForebayError: a file is missing, is none of its kind, or the key is another one's.
        """
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = VERSIONS[self.min_version]
        made.set_alpn_protocols(["http/1.1"])
        self._load_chain(made)
        if self.client_ca:
            try:
                made.load_verify_locations(self.client_ca)
            except (OSError, ssl.SSLError) as error:
                raise _unreadable(self.client_ca, error) from None
            made.verify_mode = ssl.CERT_REQUIRED
        return made

    def _load_chain(self, context: ssl.SSLContext) -> None:
        for path in filter(None, (self.cert, self.key)):
            if not os.access(path, os.R_OK):
                raise _unreadable(path, FileNotFoundError(2, "no such file that can be read"))
        try:
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(self.cert, self.key or None, password="")
        except (OSError, ssl.SSLError) as error:
            raise _unreadable(self.cert, error) from None

    def written(self) -> tuple[int, ...]:
        """What differs where the certificate or its key was written anew."""
        found = [Path(path).stat() for path in filter(None, (self.cert, self.key))]
        return tuple(n for each in found for n in (each.st_mtime_ns, each.st_ino))


class Renewal:
    """Has a server answer with the certificate as its files hold it now.

    A context that connections are made from is not written to: OpenSSL takes a certificate and its
    key one after the other, and a handshake between the two would fail. A renewed pair gets a
    context of its own, which each handshake is handed when the client's hello has come.
    """

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._written = tls.written()
        self.context = self._newest = tls.context()
        self.context.sni_callback = self._hand_newest

    def look(self) -> None:
        """Load the current files; keep the certificate if they are not a pair."""
        try:
            written = self._tls.written()
            if written == self._written:
                return
            self._written = written  # of files that are wrong it is said once
            self._newest = self._tls.context()
        except (OSError, ForebayError) as error:
            print(f"warning: the certificate stays as it was: {error}", file=sys.stderr, flush=True)

    def _hand_newest(
        self, handshake: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext
    ) -> None:
        """Called at every hello, also where the client names no server."""
        if self._newest is not context:
            handshake.context = self._newest


def _unreadable(path: str, error: Exception) -> ForebayError:
    reason = str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)
    return ForebayError(
        f"it gives no TLS certificate and key: {reason.replace('_', ' ').lower()}",
        where=path,
        hint="name PEM files: --tls-cert CHAIN --tls-key KEY, whose key is not encrypted",
    )
