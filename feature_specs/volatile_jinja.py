"""Jinja that may render to something else in the next run, although no file has changed."""

from __future__ import annotations

import re
from collections.abc import Iterator

#: Jinja whose value is another one in every run.
VOLATILE = re.compile(
    r"\brun_started_at\b|\binvocation_id\b|\binvocation_args_dict\b|\bthread_id\b"
    r"|\bmodules\b(?!\s*\.\s*(?:re|itertools)\b)|\|\s*random\b|\bcontext\b|\bbuiltins\b"
)
#: Jinja that says one thing in `dbt compile` and another in `dbt build`, or asks the database.
OF_THE_RUN = re.compile(
    r"\bflags\b|\bselected_resources\b|\badapter\b(?!\s*\.\s*dispatch\b)|\bstatement\b"
)


def jinja_parts(text: str) -> Iterator[str]:
    """What stands between the braces of Jinja, braces included."""
    for part in re.finditer(r"{{.*?}}|{%.*?%}", text, re.DOTALL):
        yield part[0]
