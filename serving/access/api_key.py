"""API keys: random texts that a server knows by their hashes only.

A key is 256 random bits, so nobody finds it by trying, however fast the hash is. Slow hashes (argon2,
scrypt) are for what people can remember; here they would cost each request a hundred milliseconds and
gain nothing. The salt keeps two servers' files from being compared.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

#: What every key begins with, so that scanners of repositories and logs find those that got there.
PREFIX = "fbk_"
_FORM = re.compile(rf"{PREFIX}([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")


@dataclass(frozen=True)
class StoredKey:
    """A key as a server keeps it.

    Attributes:
        id: names the key in logs; no secret.
        team: whose it is.
        salt, hash: of its secret, as hexadecimal digits.
        created, expires, revoked: aware instants.
    """

    id: str
    team: str
    salt: str
    hash: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None

    def is_of(self, secret: str) -> bool:
        """Whether a secret is this key's; takes as long whatever it is."""
        return hmac.compare_digest(_hash(self.salt, secret), self.hash)


#: Compared with where no key has an id, so that an unknown id takes as long as a wrong secret.
NOBODY = StoredKey("", "", "00" * 16, "00" * 32, datetime.min)


def make_key(team: str, now: datetime, expires: datetime | None = None) -> tuple[str, StoredKey]:
    """A new key: its text, which is nowhere kept, and what a server keeps of it."""
    made, secret, salt = secrets.token_hex(6), secrets.token_urlsafe(32), secrets.token_hex(16)
    stored = StoredKey(made, team, salt, _hash(salt, secret), now, expires)
    return f"{PREFIX}{made}_{secret}", stored


def split_key(text: str) -> tuple[str, str] | None:
    """The id and the secret of a key's text; None of another text.

    >>> split_key("fbk_0123456789ab_" + "x" * 43) == ("0123456789ab", "x" * 43)
    True
    >>> split_key("secret")
    """
    found = _FORM.fullmatch(text)
    return None if found is None else (found[1], found[2])


def _hash(salt: str, secret: str) -> str:
    return hashlib.sha256(bytes.fromhex(salt) + secret.encode()).hexdigest()
