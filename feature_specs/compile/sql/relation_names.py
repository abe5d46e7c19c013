"""Normalize the names by which tables, leaves and models are looked up."""

from __future__ import annotations

import re

from sqlglot import exp

from feature_specs.names import fold_name


def relation_key(table: exp.Table) -> str:
    """A table's dotted name, lower case, as leaves and models are looked up."""
    return fold_name(".".join(part.name for part in table.parts))


def name_key(name: str) -> str:
    """The same key for a name given as text, quoted or not."""
    return fold_name(re.sub(r'["`]', "", name))
