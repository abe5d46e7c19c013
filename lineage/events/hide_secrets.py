"""Redact credentials in texts that leave the machine: errors and SQL may quote a URI."""

from __future__ import annotations

import re

# A password may hold an @ of its own: up to the last one.
_USER = re.compile(r"(?<=://)[^/\s'\"]+@")
_SETTING = re.compile(
    r"(?i)\b([\w.-]*(?:password|passwd|pwd|passphrase|secret|token|signature"
    r"|private[_-]?key|api[_-]?key|access[_-]?key(?:[_-]?id)?))"
    r"(['\"]?\s*(?:=>|[=:])\s*|\s+(?='))(?:bearer\s+)?('[^']*'|\"[^\"]*\"|[^\s,;)&]+)"
)
_BEARER = re.compile(r"(?i)\bbearer\s+[\w.~+/=-]+|(?<=authorization: )basic\s+[\w+/=]+")


def hide_secrets(text: str) -> str:
    """The text, with anything that looks like a credential replaced by stars.

    >>> hide_secrets("cannot open postgresql://bob:pw@db/lake, password=pw")
    'cannot open postgresql://***@db/lake, password=***'
    """
    return _BEARER.sub("***", _SETTING.sub(r"\1\2***", _USER.sub("***@", text)))
