"""The version of what the compiler gives as a query's meaning; apart, so that it is read without SQLGlot."""

from __future__ import annotations

#: Raised when the compiler itself comes to give other values for the same query.
COMPILER_VERSION = 5
