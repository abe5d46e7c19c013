"""What a server is told besides what it serves: who may ask, and how much."""

from __future__ import annotations

import errno
import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feature_specs.errors import ForebayError, did_you_mean
from serving.access.audit import STDOUT, Audit
from serving.access.gate import Gate
from serving.access.rate import Rates
from serving.http_protocol import CLIENT_LIMITS, ClientLimits
from serving.lookup.limits import LIMITS, Limits
from serving.served.served_log import ServedLog
from serving.tls import VERSIONS, Tls

if TYPE_CHECKING:
    from serving.access.tokens import Tokens

_KINDS = {"str": "text", "bool": "a boolean", "float": "a number above 0"}
#: A shorter secret could be guessed, and with it keys.
_SECRET_BYTES = 16
_SHOWN = {"str": "'...'", "bool": "true", "float": "100"}


@dataclass(frozen=True)
class ServeSettings:
    """The settings, named as the options of `forebay serve` and as in the profile's section ``serve``.

    Attributes:
        keys: the file of API keys and teams.
        jwks: a file or URL of the keys of whoever signs tokens. With neither everybody is let in.
        jwt_issuer, jwt_audience: that tokens must be of and for; jwt_team: the claim that names a
            token's team, ``team`` by default.
        requests_per_second, cells_per_second: of a team of which the file of keys says nothing.
        audit: a file for the audit log, ``-`` for standard output; None without.
        log_served: the share of entities whose answers are logged, at most 1; None logs nothing.
        served_folder: the log's spool. served_secret: a file; keys are logged as hashes under it.
        served_retention: how long the log is kept, as a duration; None keeps all of it.
        insecure: everybody is let in on addresses that others reach too, and by any name.
        tls_cert, tls_key, tls_client_ca, tls_min_version: see `serving.tls.Tls`; None without TLS.
        limits: by name, those of `Limits` and `ClientLimits` that are not the usual ones.
    """

    keys: str | None = None
    jwks: str | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_team: str | None = None
    requests_per_second: float | None = None
    cells_per_second: float | None = None
    audit: str | None = None
    log_served: float | None = None
    served_folder: str | None = None
    served_secret: str | None = None
    served_retention: str | None = None
    insecure: bool = False
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_client_ca: str | None = None
    tls_min_version: str | None = None
    limits: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[str, Any], where: str) -> ServeSettings:
        """The settings of the profile.

        Raises:
            ForebayError: one is unknown or of the wrong kind, or goes only with another one.
        """
        known = {each.name: str(each.type) for each in fields(cls)}
        for name, value in given.items():
            if name not in known:
                raise ForebayError(
                    f"there is no setting {name!r}", where=where, hint=did_you_mean(name, known)
                )
            if name == "limits":
                _check_limits(value, where)
                continue
            kind = known[name].partition(" ")[0]
            said = "float" if type(value) is int else type(value).__name__
            if said != kind or (kind == "float" and not 0 < value < float("inf")):
                raise ForebayError(
                    f"{name} is not {_KINDS[kind]}",
                    where=where,
                    hint=f"write `{name}: {_SHOWN[kind]}`",
                )
        made = cls(**given)
        made.tls()
        made.request_limits()
        made.check_served(where)
        return made

    @classmethod
    def loads(cls, text: str) -> ServeSettings:
        """What `dumps` wrote."""
        return cls(**json.loads(text))

    def dumps(self) -> str:
        """As text, for a process of its own."""
        return json.dumps(asdict(self))

    def request_limits(self) -> Limits:
        """How much requests may ask for.

        Raises:
            ForebayError: one request could never be answered.
        """
        made = replace(LIMITS, **_chosen(LIMITS, self.limits))
        if made.cells > made.cells_in_work or made.body_bytes > made.bodies_bytes:
            raise ForebayError(
                "one request may ask for more than all requests together may",
                where="--limit",
                hint="let cells_in_work be at least cells, and bodies_bytes at least body_bytes",
            )
        return made

    def client_limits(self, usual: ClientLimits = CLIENT_LIMITS) -> ClientLimits:
        """How long clients may take."""
        return replace(usual, **_chosen(usual, self.limits))

    def tls(self) -> Tls | None:
        """The server's TLS; None without."""
        if self.tls_cert is None:
            if self.tls_key or self.tls_client_ca or self.tls_min_version:
                raise ForebayError(
                    "TLS has no certificate", where="--tls-cert", hint="name its file"
                )
            return None
        version = self.tls_min_version or "1.2"
        if version not in VERSIONS:
            raise ForebayError(
                f"there is no TLS {version}",
                where="--tls-min-version",
                hint=f"name one of {', '.join(VERSIONS)}",
            )
        return Tls(self.tls_cert, self.tls_key or "", self.tls_client_ca or "", version)

    def check_address(self, address: str) -> None:
        """Refuse to answer everybody on an address that others reach.

        Args:
            address: that the port is bound to. A host's name may mean any.

        Raises:
            ForebayError: there is neither a file of keys nor `insecure`.
        """
        if not self.wants_keys and not self.insecure and not _is_loopback(address):
            raise ForebayError(
                f"{address} can be reached from other machines, and nobody who asks needs a key",
                where="--host",
                hint="name a file of keys with --keys (`forebay keys create TEAM` makes one), or say "
                "--insecure to answer everybody",
            )

    def answers_this_machine(self, address: str) -> bool:
        """Whether all that keeps others from being answered is the address that the port is bound to."""
        return not self.wants_keys and not self.insecure and _is_loopback(address)

    def gate(self, *, workers: int = 1, restarted: bool = False) -> Gate | None:
        """Who is let in; None lets everybody in.

        Args:
            workers: of which each allows a share of what a team may ask for.
            restarted: tokens' keys that cannot be fetched now may be fetched later.

        Raises:
            ForebayError: keys cannot be read, or a setting of tokens is missing.
        """
        rates = self.requests_per_second, self.cells_per_second
        if not self.wants_keys:
            if any(rates):
                raise ForebayError(
                    "without keys no team can be told from another, to limit what it asks for",
                    where="--requests-per-second, --cells-per-second",
                    hint="name a file of keys with --keys",
                )
            return None
        tokens = None
        if self.jwks is not None:
            if not (self.jwt_issuer and self.jwt_audience):
                raise ForebayError(
                    "tokens would be good whoever they are of and for",
                    where="--jwks",
                    hint="say --jwt-issuer and --jwt-audience",
                )
            tokens = _tokens(self.jwks, self.jwt_issuer, self.jwt_audience, self.jwt_team or "team")
            if restarted:
                tokens.jwks.look()
            else:
                tokens.jwks.require()
        path = None if self.keys is None else Path(self.keys)
        return Gate(path, tokens, Rates(*rates), workers)

    def check_audit(self) -> None:
        """Raises ForebayError unless the audit log's file can be written; makes none."""
        if self.audit is None or self.audit == STDOUT:
            return
        path = Path(self.audit)
        place, needed = (path, os.W_OK) if path.exists() else (path.parent, os.W_OK | os.X_OK)
        if path.is_dir():
            raise _cannot_write(self.audit, os.strerror(errno.EISDIR))
        if not place.exists():
            raise _cannot_write(self.audit, os.strerror(errno.ENOENT))
        if not os.access(place, needed):
            raise _cannot_write(self.audit, os.strerror(errno.EACCES))

    def audit_log(self) -> Audit | None:
        """Who asked for what; None where nothing is kept.

        Raises:
            ForebayError: the file cannot be written.
        """
        if self.audit is None:
            return None
        if self.audit != STDOUT:
            try:
                Path(self.audit).open("a").close()
            except OSError as error:
                raise _cannot_write(self.audit, str(error.strerror)) from None
        return Audit(self.audit)

    def check_served(self, where: str) -> None:
        """Raises ForebayError unless what is to be logged is a share."""
        if self.log_served is not None and self.log_served > 1:
            raise ForebayError(
                f"log_served is a share, and {self.log_served:g} is more than all",
                where=where,
                hint="write such as `log_served: 0.01`",
            )

    def served_log(self) -> ServedLog | None:
        """What was answered; None where nothing is kept.

        Raises:
            ForebayError: there is no folder to keep it in, or no secret in its file.
        """
        if self.log_served is None:
            return None
        if self.served_folder is None:
            raise ForebayError(
                "served vectors have no folder to be logged in",
                where="served_folder",
                hint="name one with --served-folder",
            )
        secret = None if self.served_secret is None else read_secret(Path(self.served_secret))
        return ServedLog(self.log_served, Path(self.served_folder), secret)

    @property
    def wants_keys(self) -> bool:
        """Whether nobody is let in without a key or a token."""
        return self.keys is not None or self.jwks is not None


def _cannot_write(audit: str, why: str) -> ForebayError:
    return ForebayError(
        f"the audit log cannot be written: {why}",
        where=audit,
        hint="name another file with --audit",
    )


def read_secret(path: Path) -> bytes:
    """The secret under which keys of served vectors are hashed.

    Raises:
        ForebayError: the file cannot be read, or holds less than 16 bytes.
    """
    hint = f"run `(umask 077; openssl rand -hex 32 > {path})`"
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise ForebayError(
            f"the secret for keys cannot be read: {error.strerror}", where=str(path), hint=hint
        ) from None
    if len(secret) < _SECRET_BYTES:
        raise ForebayError("the secret for keys is too short", where=str(path), hint=hint)
    return secret


def _tokens(jwks: str, issuer: str, audience: str, claim: str) -> Tokens:
    try:
        from serving.access.jwks import Jwks
        from serving.access.tokens import Tokens
    except ModuleNotFoundError:
        raise ForebayError(
            "what checks tokens is not installed",
            where="--jwks",
            hint="run `pip install 'forebay[jwt]'`",
        ) from None
    return Tokens(Jwks(jwks), issuer, audience, claim)


def _chosen(usual: Limits | ClientLimits, limits: Mapping[str, float]) -> dict[str, Any]:
    kinds = {each.name: each.type for each in fields(usual)}
    return {
        name: int(value) if kinds[name] == "int" else float(value)
        for name, value in limits.items()
        if name in kinds
    }


def _check_limits(given: object, where: str) -> None:
    """Raises ForebayError unless they are numbers above 0 of limits that there are."""
    known = [each.name for kind in (LIMITS, CLIENT_LIMITS) for each in fields(kind)]
    if not isinstance(given, Mapping):
        raise ForebayError(
            "limits are not a mapping", where=where, hint="write `limits: {cells: 500000}`"
        )
    for name, value in given.items():
        if name not in known:
            raise ForebayError(
                f"there is no limit {name!r}", where=where, hint=did_you_mean(str(name), known)
            )
        if type(value) not in (int, float) or not 0 < value < float("inf"):
            raise ForebayError(
                f"limit {name} is not a number above 0", where=where, hint=f"write `{name}: 100`"
            )
        if not name.endswith("_s") and value != int(value):
            raise ForebayError(
                f"limit {name} is not a whole number", where=where, hint=f"write `{name}: 100`"
            )


def _is_loopback(address: str) -> bool:
    """Whether an IP address is this machine's own, that no other reaches."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


#: Everybody is let in.
OPEN = ServeSettings()
