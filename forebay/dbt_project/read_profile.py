"""Read a target from profiles.yml: plain YAML and ``env_var`` without dbt, other Jinja by dbt."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feature_specs.errors import ForebayError
from forebay.dbt_project.check_setup import ProfileTarget
from forebay.dbt_project.read_yaml import read_yaml

_TEXT = r"'([^'\\{}]*)'|\"([^\"\\{}]*)\""
_ENV_VAR = re.compile(rf"{{{{-?\s*env_var\(\s*(?:{_TEXT})\s*(?:,\s*(?:{_TEXT})\s*)?\)\s*-?}}}}")
#: dbt itself puts these in, in a way of its own.
_SECRET = "DBT_ENV_SECRET"


def read_target(file: Path, profile: str | None, target: str | None) -> ProfileTarget:
    """One target of profiles.yml, rendered; no other target is.

    Args:
        file: profiles.yml, which may be missing.
        profile: the profile's name, as dbt_project.yml has it.
        target: the target's name; None for the profile's own default.

    Raises:
        ForebayError: it is not YAML, or names an environment variable that is not set.
    """
    raw = read_yaml(file) if file.exists() else {}
    found = raw.get(str(profile))
    given = found if isinstance(found, Mapping) else {}
    name = target or str(_render(given.get("target") or "default", file))
    outputs = given.get("outputs")
    outputs = outputs if isinstance(outputs, Mapping) else {}
    output = outputs.get(name)
    return ProfileTarget(
        file,
        profile,
        name,
        None if output is None else _render(output, file),
        None if found is None else [str(k) for k in outputs],
    )


def _render(value: Any, file: Path) -> Any:
    """A value of the profile with its Jinja rendered, as dbt renders it."""
    if not _has_jinja(value):
        return value
    if _is_simple(value):
        return _substitute(value, file)
    return _render_by_dbt(value, file)


def _has_jinja(value: Any) -> bool:
    return any(brace in text for text in _texts(value) for brace in ("{{", "{%", "{#"))


def _is_simple(value: Any) -> bool:
    """Whether all of its Jinja is ``env_var`` of a name in quotes."""
    return not any(_SECRET in text or _has_jinja(_ENV_VAR.sub("", text)) for text in _texts(value))


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [t for item in value.values() for t in _texts(item)]
    if isinstance(value, list):
        return [t for item in value for t in _texts(item)]
    return [value] if isinstance(value, str) else []


def _substitute(value: Any, file: Path) -> Any:
    if isinstance(value, Mapping):
        return {name: _substitute(item, file) for name, item in value.items()}
    if isinstance(value, list):
        return [_substitute(item, file) for item in value]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        single, double, *default = match.groups()
        name = single if single is not None else double
        fallback = next((d for d in default if d is not None), None)
        found = os.environ.get(name, fallback)
        if found is None:
            raise _not_set(name, file)
        return found

    return _ENV_VAR.sub(variable, value)


def _render_by_dbt(value: Any, file: Path) -> Any:
    from dbt.config.renderer import ProfileRenderer
    from dbt.exceptions import EnvVarMissingError
    from dbt_common.context import set_invocation_context
    from dbt_common.exceptions import DbtBaseException

    set_invocation_context(dict(os.environ))
    try:
        # Its method takes a mapping, and renders whatever stands in it.
        return ProfileRenderer({}).render_data({"value": value})["value"]
    except EnvVarMissingError as error:
        raise _not_set(str(error.var), file) from None
    except DbtBaseException as error:
        raise ForebayError(
            str(error), where=str(file), hint="correct the Jinja of that value"
        ) from None


def _not_set(name: str, file: Path) -> ForebayError:
    return ForebayError(
        f"environment variable {name!r} is not set",
        where=str(file),
        hint=f"export {name}=..., or give a default: {{{{ env_var('{name}', '<default>') }}}}",
    )
