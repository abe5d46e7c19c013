"""Reading a YAML file of the project, with an error that names the file and the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from feature_specs.errors import ForebayError

#: libyaml's parser where it is there, as dbt has it: many times faster.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's mapping; empty where it holds anything else.

    Raises:
        ForebayError: it is not YAML.
    """
    try:
        raw = yaml.load(path.read_text(), Loader=_LOADER)
    except yaml.YAMLError as error:
        raise ForebayError(
            f"not YAML: {' '.join(str(error).split())}",
            where=str(path),
            hint="fix the indentation",
        ) from None
    return raw if isinstance(raw, dict) else {}
