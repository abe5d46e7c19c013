"""JSON Web Tokens (RFC 7519) of an identity provider, in place of API keys."""

from __future__ import annotations

from typing import Any, NamedTuple

import jwt

from feature_specs.errors import ForebayError
from serving.access.errors import KeysUnavailableError, UnauthenticatedError
from serving.access.jwks import ALGORITHMS, Jwks
from serving.access.team import check_team_name

#: Seconds by which clocks may differ.
LEEWAY_S = 30
_HINT = "send a token of this server's issuer and audience that is still good"
_LONGEST_ID = 80


class Token(NamedTuple):
    """What a token says: the team that it speaks for, its subject, and until when it is good, in
    seconds since the epoch."""

    team: str
    subject: str
    expires: float


class Tokens:
    """Checks tokens: their signature, algorithm, life, issuer and audience.

    Args:
        jwks: the issuer's keys.
        claim: holds the team's name.
    """

    def __init__(self, jwks: Jwks, issuer: str, audience: str, claim: str) -> None:
        self.jwks = jwks
        self._issuer, self._audience, self._claim = issuer, audience, claim

    def read(self, text: str) -> Token:
        """What a token says.

        Raises:
            UnauthenticatedError: it is none, or not good here.
            KeysUnavailableError: it may be signed by a key that is being fetched.
        """
        try:
            key_id = jwt.get_unverified_header(text).get("kid")
            key = self.jwks.key(key_id)
            if key is None:
                raise self._unknown_key()
            claims = jwt.decode(
                text,
                key,
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={
                    "require": ["exp", "iss", "aud"],
                    "enforce_minimum_key_length": True,
                },
            )
        except jwt.PyJWTError as error:
            raise UnauthenticatedError(
                f"the token is not good: {_reason(error)}", hint=_HINT
            ) from None
        return Token(self._team(claims), _subject(claims), float(claims["exp"]) + LEEWAY_S)

    def _unknown_key(self) -> ForebayError:
        if self.jwks.want():
            return KeysUnavailableError(
                "the keys of tokens are being fetched", where="authorization", hint="try again soon"
            )
        return UnauthenticatedError("the token is signed by a key that is not known", hint=_HINT)

    def _team(self, claims: dict[str, Any]) -> str:
        found = claims.get(self._claim)
        if isinstance(found, list) and len(found) == 1:
            found = found[0]
        try:
            return check_team_name(found, "authorization")
        except ForebayError:
            raise UnauthenticatedError(
                f"the token names no team in its claim {self._claim!r}", hint=_HINT
            ) from None


def _reason(error: jwt.PyJWTError) -> str:
    """What is wrong, in our words: the library's may hold what was sent."""
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return reason
    return "it is not one, or its signature is not right"


_REASONS: dict[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it is not good yet",
    jwt.InvalidAudienceError: "it is for another audience",
    jwt.InvalidIssuerError: "it is of another issuer",
    jwt.MissingRequiredClaimError: "it has no exp, iss or aud",
    jwt.InvalidAlgorithmError: "its algorithm is not that of its key",
}


def _subject(claims: dict[str, Any]) -> str:
    found = claims.get("sub")
    if not isinstance(found, str):
        return ""
    # JSON may hold halves of characters, which the audit log could not write.
    return found[:_LONGEST_ID].encode(errors="replace").decode()
