"""A hash of what a view means: it changes when values may change, not when text does."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields

from sqlglot import ErrorLevel

from feature_specs.compile.draft import Draft
from feature_specs.compile.sql.parenthesise import parenthesised
from feature_specs.compiler_version import COMPILER_VERSION
from feature_specs.leaf import Leaf


def hash_meaning(draft: Draft) -> str:
    """32 hex digits over all that decides the rows of the feature table.

    What is applied when features are read (ttl, expressions over stored columns) is not in it: a
    change of that alone recomputes nothing.
    """
    view = draft.view
    meaning = {
        "compiler": COMPILER_VERSION,
        "query": parenthesised(draft.stored).sql(
            "duckdb", comments=False, unsupported_level=ErrorLevel.IGNORE
        ),
        "entities": list(view.entities),
        "event_time": view.event_time,
        "boundary": view.boundary,
        "tie_break": list(view.tie_break),
        "leaves": {leaf.name: _roles(leaf) for leaf in draft.leaves.values()},
    }
    text = json.dumps(meaning, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _roles(leaf: Leaf) -> dict[str, object]:
    dropped = {"name", "columns", "where", "rows_per_key"}
    if not leaf.valid_to_inclusive:
        dropped.add("valid_to_inclusive")  # hashes from before it was there stay
    return {f.name: getattr(leaf, f.name) for f in fields(leaf) if f.name not in dropped}
