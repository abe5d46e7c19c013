"""Names as parts of URLs and as names of files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_LONGEST = 120
_PLAIN = re.compile(r"[A-Za-z0-9_@-]+\Z")
_UNSAFE = re.compile(r"[^A-Za-z0-9_@-]")


def slug(name: str) -> str:
    """A name in characters that neither URLs nor file systems read as anything else.

    >>> slug("mean_delay_7d"), slug("nyc.flights"), slug("a/b"), slug("..")
    ('mean_delay_7d', 'nyc.flights', 'a~2fb', '~2e~2e')
    """
    if _PLAIN.match(name):
        return name
    inner = _UNSAFE.sub(_escaped, name)
    # A dot is common in names, and safe but where a name begins or ends with it.
    return re.sub(r"(?<=[^~.])~2e(?=[A-Za-z0-9_])", ".", inner) or "~"


def unique_slugs(names: Iterable[str]) -> dict[str, str]:
    """A slug for each name, none the same as another on a file system that does not tell cases apart."""
    made: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        if name in made:
            continue
        found = slug(name)
        if len(found) > _LONGEST or found.lower() in taken:
            digest = hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
            found = f"{found[:_LONGEST]}~{digest}"
        taken.add(found.lower())
        made[name] = found
    return made


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"~{byte:02x}" for byte in match[0].encode("utf-8", "surrogatepass"))
