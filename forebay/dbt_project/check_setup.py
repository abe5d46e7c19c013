"""What a dbt project must have for forebay: all that is missing is said at once, with what to paste."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from feature_specs.errors import ForebayError, SpecError, did_you_mean
from feature_specs.lake_properties import catalog_type, public_lake

PLUGIN = "forebay.dbt_plugin"
#: Where the plugin stood before the packages moved inside `forebay`.
FORMER_PLUGIN = "lakehouse.dbt_plugin"
ALIAS = "forebay"
#: The plugin's config of a new project. Relative paths start at the project's root.
PLUGIN_CONFIG = {
    "name": "lake",
    "type": "sql",
    "uri": "sqlite:///lake/catalog.db",
    "warehouse": "lake/warehouse",
    "online": "lmdb://online.lmdb",
}
#: What the plugin's config must have, by the kind of catalog. The server of a REST catalog knows
#: its warehouse, and of others pyiceberg says what they lack.
REQUIRED_CONFIG = {"sql": ("name", "uri", "warehouse", "online"), "rest": ("name", "uri", "online")}
_REQUIRED_ANYWHERE = ("name", "online")

#: The folder of generated macros, on a project's macro-paths.
MACROS = "target/forebay/macros"
#: What the project's on-run-start calls, so that plain dbt stops where nothing is compiled.
READY = "{{ forebay_ready() }}"
DEFAULT_MACRO_PATHS = ("macros",)
#: What macros/forebay.sql defines.
OWN_MACROS = ("request", "point_in_time", "forebay_ready")


@dataclass(frozen=True)
class ProfileTarget:
    """The target of a run, as profiles.yml has it, rendered.

    Attributes:
        profile: its profile's name, None where dbt_project.yml names none.
        output: what stands under it, None where there is no such target.
        known: the profile's targets; None where there is no such profile.
    """

    file: Path
    profile: str | None
    name: str
    output: Mapping[str, Any] | None
    known: Sequence[str] | None = None


@dataclass(frozen=True)
class Fault:
    """One thing that is missing.

    Attributes:
        paste: YAML that fixes it, empty where there is none to paste.
    """

    file: str
    what: str
    paste: str = ""


def plugin_block(indent: int, config: Mapping[str, Any] | None = None) -> str:
    """The plugin as an item of a target's ``plugins``, in YAML.

    Args:
        config: what the user has of it already; the rest is filled up.
    """
    lines = [f"- module: {PLUGIN}", f"  alias: {ALIAS}", "  config:"]
    lines += [f"    {name}: {_scalar(value)}" for name, value in filled_config(config).items()]
    return "".join(f"{' ' * indent}{line}\n" for line in lines)


def filled_config(config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The plugin's config, filled up where it lacks something."""
    given = {k: v for k, v in (config or {}).items() if v}
    needed = _needed(given)
    filled = {k: v for k, v in PLUGIN_CONFIG.items() if k in needed or k == "type"} | given
    if catalog_type(given) == "rest" and "uri" not in given:
        filled["uri"] = "http://localhost:8181"
    return filled


def _needed(config: Mapping[str, Any]) -> Sequence[str]:
    return REQUIRED_CONFIG.get(catalog_type(config), _REQUIRED_ANYWHERE)


def _scalar(value: Any) -> str:
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w./:+-]*", value)
    return value if plain else json.dumps(value)


def _shown(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config as an error may show it: a variable in place of what may be a credential."""
    public = {**public_lake(config), **{k: v for k, v in config.items() if k == "online"}}
    hidden = {
        name: f"{{{{ env_var('{re.sub(r'[^A-Z0-9]+', '_', name.upper())}') }}}}"
        for name in config
        if name not in public or (name == "uri" and public[name] != config[name])
    }
    return {name: hidden.get(name, public.get(name)) for name in config}


def check_setup(root: Path, settings: Mapping[str, Any], target: ProfileTarget) -> None:
    """Refuse a project that lacks something, naming all of it.

    Raises:
        SpecError: something is missing; the text to paste stands behind the hint.
    """
    faults = [*profile_faults(target), *project_faults(root, settings)]
    if faults:
        raise setup_error(faults, root)


def profile_faults(target: ProfileTarget) -> Iterator[Fault]:
    """What the target lacks.

    Raises:
        ForebayError: there is no such target, or it is not DuckDB, which nothing pasted fixes.
    """
    file = str(target.file)
    if target.output is None:
        raise _no_target(target)
    kind = target.output.get("type")
    if kind != "duckdb":
        raise ForebayError(
            f"target {target.name!r} is {kind or 'of no type'}, and features are built on duckdb",
            where=file,
            hint="name a target of `type: duckdb` with --target",
        )
    plugins = [p for p in target.output.get("plugins") or [] if isinstance(p, Mapping)]
    module, found = PLUGIN, _named(plugins, PLUGIN)
    if found is None:
        module, found = FORMER_PLUGIN, _named(plugins, FORMER_PLUGIN)
    config = (found or {}).get("config") or {}
    wrong = []
    if found is None:
        wrong.append("has no forebay plugin")
    else:
        if module == FORMER_PLUGIN:
            wrong.append(f"names the module {FORMER_PLUGIN}, which is {PLUGIN} now")
        if found.get("alias") != ALIAS:
            wrong.append(f"has the plugin under another alias than {ALIAS!r}")
        lacks = [repr(name) for name in _needed(config) if not config.get(name)]
        if lacks:
            wrong.append(f"has no {', '.join(lacks)} in the plugin's config")
    if wrong:
        yield Fault(
            file,
            f"target {target.name!r} {' and '.join(wrong)}",
            f"{target.profile}:\n  outputs:\n    {target.name}:\n      plugins:\n"
            + plugin_block(8, _shown(config)),
        )


def _named(plugins: Sequence[Mapping[str, Any]], module: str) -> Mapping[str, Any] | None:
    return next((p for p in plugins if p.get("module") == module), None)


def _no_target(target: ProfileTarget) -> ForebayError:
    if target.profile is None:
        return ForebayError(
            "it names no profile",
            where="dbt_project.yml",
            hint="add `profile: <a name in profiles.yml>`",
        )
    if target.known is None:
        return ForebayError(
            f"there is no profile {target.profile!r}"
            if target.file.exists()
            else "there is no such file",
            where=str(target.file),
            hint=f"add profile {target.profile!r} with a target of `type: duckdb`, "
            "or set DBT_PROFILES_DIR to the folder that has it",
        )
    return ForebayError(
        f"profile {target.profile!r} has no target {target.name!r}",
        where=str(target.file),
        hint=f"name another with --target; {did_you_mean(target.name, target.known)}",
    )


def project_faults(root: Path, settings: Mapping[str, Any]) -> Iterator[Fault]:
    """What dbt_project.yml and the project's macros lack."""
    file = "dbt_project.yml"
    paths = macro_paths(settings)
    if not any(PurePosixPath(p) == PurePosixPath(MACROS) for p in paths):
        written = ", ".join([*paths, MACROS])
        yield Fault(file, f"macro-paths lacks {MACROS}", f"macro-paths: [{written}]\n")
    hooks = hooks_of(settings)
    if not any("forebay_ready" in hook for hook in hooks):
        items = "".join(f"  - {_quoted(h)}\n" for h in (READY, *hooks))
        yield Fault(file, "on-run-start does not call forebay_ready()", f"on-run-start:\n{items}")
    lacks = missing_macros(root, paths)
    if lacks:
        home = next((p for p in paths if PurePosixPath(p) != PurePosixPath(MACROS)), "macros")
        named = ", ".join(f"{name}()" for name in lacks)
        yield Fault(
            f"{home}/forebay.sql",
            f"no macro {named}: `forebay init --here` writes this file",
        )


def macro_paths(settings: Mapping[str, Any]) -> list[str]:
    """The project's macro-paths."""
    named = settings.get("macro-paths") or DEFAULT_MACRO_PATHS
    return [named] if isinstance(named, str) else [str(p) for p in named]


def hooks_of(settings: Mapping[str, Any]) -> list[str]:
    """The project's on-run-start hooks."""
    hooks = settings.get("on-run-start") or []
    return [hooks] if isinstance(hooks, str) else [str(h) for h in hooks]


def missing_macros(root: Path, paths: Sequence[str]) -> list[str]:
    """Those of `OWN_MACROS` that neither the project nor its packages define."""
    lacks = set(OWN_MACROS)
    for folder in (*paths, "dbt_packages"):
        if PurePosixPath(folder) == PurePosixPath(MACROS):
            continue
        for path in (root / folder).rglob("*.sql"):
            if not lacks:
                break
            text = path.read_text(errors="replace")
            lacks -= set(re.findall(r"{%-?\s*macro\s+(\w+)\s*\(", text))
    return [name for name in OWN_MACROS if name in lacks]


def setup_error(faults: Sequence[Fault], root: Path) -> SpecError:
    """All faults in one error, with the text to paste, file by file."""
    files = list(dict.fromkeys(f.file for f in faults))
    said = [
        f"{_beside(file, root)}: " + ", and ".join(f.what for f in faults if f.file == file)
        for file in files[1:]
    ]
    first = ", and ".join(f.what for f in faults if f.file == files[0])
    pastes = {
        file: "".join(f.paste for f in faults if f.file == file)
        for file in files
        if any(f.paste for f in faults if f.file == file)
    }
    return SpecError(
        "; ".join([first, *said]),
        where=_beside(files[0], root),
        hint="run `forebay init --here`, which shows what it would change and asks"
        + (", or paste:" if pastes else ""),
        paste="\n".join(f"# {_beside(file, root)}\n{text}" for file, text in pastes.items()),
    )


def _beside(file: str, root: Path) -> str:
    return str(Path(file).relative_to(root)) if Path(file).is_relative_to(root) else file


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
