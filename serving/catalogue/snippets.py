"""Snippets to copy: a feature or a service in Python, on the command line, in SQL, by HTTP, in dbt.

Names are quoted for the language that they stand in, whatever is in them. Tests run every snippet.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from feature_specs.catalog import Column, ServiceEntry, ViewEntry
from feature_specs.quote import literal, quoted
from feature_specs.sql_types import parse_type

#: What stands for a key whose values nobody may see, by what a type's name begins with.
_SAMPLES = (
    ("DATE", "2024-01-01"),
    ("TIMESTAMP", "2024-01-01 00:00:00+00"),
    ("UUID", "00000000-0000-0000-0000-000000000000"),
    ("BOOLEAN", "true"),
)
_SAFE_INTEGER = 2**53


@dataclass(frozen=True)
class Snippet:
    """Something to copy.

    Attributes:
        name: short and unique, for ids.
        language: ``python``, ``shell``, ``sql`` or ``yaml``.
        offline: whether it reads history (training), else the present (lookups).
    """

    name: str
    title: str
    language: str
    text: str


@dataclass(frozen=True)
class SnippetSettings:
    """Where snippets are run.

    Attributes:
        url: of the server.
        keys: whether it wants an API key.
        now: the project's own clock as ISO 8601; empty where that is the present.
    """

    url: str = "http://localhost:6566"
    keys: bool = False
    now: str = ""


def feature_snippets(
    view: ViewEntry,
    feature: str,
    services: Sequence[str],
    key: Mapping[str, str],
    place: SnippetSettings,
) -> list[Snippet]:
    """Snippets of one feature.

    Args:
        services: those that read it.
        key: the texts of an entity's key values by column; empty where none may be shown.
    """
    reference = f"{view.name}:{feature}"
    select = _spine([view], key, place)
    python = _script(select, f"get_historical_features(spine, [{_python(reference)}])")
    keys = " ".join(f"--key {shlex.quote(f'{c.name}={_text(c, key)}')}" for c in view.entities)
    asked = "".join(f" --request {shlex.quote(f'{c.name}={_text(c, {})}')}" for c in view.requests)
    columns = ", ".join(quoted(c) for c in (*view.keys, _column(view, feature)) if c)
    made = [
        Snippet("train-python", "Train in Python", "python", python),
        *(_training(service, select) for service in services[:1]),
        Snippet("preview", "One value, with the rows behind it", "shell",
                f"forebay preview {shlex.quote(view.name)} {keys}{asked}\n"),
        *_lookups([reference], None, [view], key, place),
    ]  # fmt: skip
    if _column(view, feature):
        sql = f"select {columns}\nfrom {_table(view)}\n"
        ref = f"select {columns} from {{{{ ref({view_ref(view)}) }}}}"
        made += [
            Snippet("sql", "Latest values in SQL", "sql", sql),
            Snippet("dbt", "In a dbt model, or at once", "shell",
                    f"dbt show --limit 5 --inline {shlex.quote(ref)}\n"),
        ]  # fmt: skip
    return made


def service_snippets(
    service: ServiceEntry,
    views: Sequence[ViewEntry],
    key: Mapping[str, str],
    place: SnippetSettings,
) -> list[Snippet]:
    """Snippets of a service.

    Args:
        views: that it reads, roles as roles.
    """
    select = _spine(views, key, place)
    python = _script(select, f"training_set({_python(service.name)}, spine)")
    dbt = f"{{{{ point_in_time(spine=ref('labels'), service={_python(service.name)}) }}}}\n"
    return [
        Snippet("train-python", "Train in Python", "python", python),
        _training(service.name, select),
        *_lookups(None, service.name, views, key, place),
        Snippet("dbt", "A training set as a dbt model, over a model of labels", "sql", dbt),
    ]


def view_ref(view: ViewEntry) -> str:
    """What dbt's ref() is given for a view."""
    _, _, name = view.unique_id.partition(".")
    parts = name.split(".")
    if len(parts) == 3 and parts[2].startswith("v"):
        return f"{_python(parts[1])}, v={parts[2][1:]}"
    return _python(parts[-1] or view.name)


def _script(select: str, call: str) -> str:
    """Python that makes a training set: ``call`` is a method of the project, over ``spine``."""
    return (
        "import forebay\n\n"
        'project = forebay.open(".")\n'
        f"spine = {_block(select)}\n"
        f"made = project.{call}\n"
        "print(made.to_arrow())\n"
    )


def _training(service: str, select: str) -> Snippet:
    text = (
        f"forebay train {shlex.quote(service)} \\\n"
        f"  --spine {shlex.quote(select)} \\\n"
        "  --out train.parquet\n"
    )
    return Snippet("train-cli", "Train on the command line", "shell", text)


def _lookups(
    features: Sequence[str] | None,
    service: str | None,
    views: Sequence[ViewEntry],
    key: Mapping[str, str],
    place: SnippetSettings,
) -> list[Snippet]:
    columns = {c.name: c for view in views for c in view.entities}
    requests = {c.name: c for view in views for c in view.requests}
    entities = {name: [_value(column, key)] for name, column in columns.items()}
    body: dict[str, object] = {} if features is None else {"features": list(features)}
    body["entities"] = entities
    if requests:
        body["request"] = {name: _value(column, {}) for name, column in requests.items()}
    path = "/v1/vectors"
    if service is not None:
        path = f"/v1/services/{quote(service, safe='')}/vectors"
    header = ' \\\n  -H "Authorization: Bearer $FOREBAY_KEY"' if place.keys else ""
    curl = (
        f"curl -s {shlex.quote(place.url + path)}{header} \\\n"
        f"  -d {shlex.quote(json.dumps(body, ensure_ascii=False))}\n"
    )
    asked = (
        _python(service or "")
        if features is None
        else json.dumps(list(features), ensure_ascii=False)
    )
    more = f", request={body['request']!r}" if requests else ""
    credentials = ', api_key=os.environ["FOREBAY_KEY"]' if place.keys else ""
    client = (
        f"{'import os' + chr(10) if place.keys else ''}import forebay\n\n"
        f"client = forebay.Client({_python(place.url)}{credentials})\n"
        f"print(client.vectors({asked}, {entities!r}{more}).to_dicts())\n"
    )
    return [
        Snippet("lookup-curl", "Look up by curl", "shell", curl),
        Snippet("lookup-client", "Look up from Python", "python", client),
    ]


def _spine(views: Sequence[ViewEntry], key: Mapping[str, str], place: SnippetSettings) -> str:
    """A SELECT of one row: an entity and an instant, with what a caller would send."""
    columns = {c.name: _text(c, key) for view in views for c in view.entities}
    kinds = {c.name: c.type for view in views for c in (*view.entities, *view.requests)}
    columns |= {c.name: _text(c, {}) for view in views for c in view.requests}
    items = [f"cast({literal(text)} as {kinds[n]}) as {quoted(n)}" for n, text in columns.items()]
    at = f"cast({literal(place.now)} as timestamptz)" if place.now else "current_timestamp"
    return "select\n  " + ",\n  ".join([*items, f"{at} as event_timestamp"])


def _column(view: ViewEntry, feature: str) -> str:
    """The feature table's column of a feature; empty for one that is computed when it is read."""
    found = view.feature(feature)
    return "" if found.expression is not None else found.stored_as


def _table(view: ViewEntry) -> str:
    return ".".join(quoted(part) for part in view.table.split("."))


def _text(column: Column, key: Mapping[str, str]) -> str:
    """A key column's value as text: of an entity where one may be shown, else a sample of the type."""
    if column.name in key:
        return key[column.name]
    name = column.type.upper()
    sample = next((text for start, text in _SAMPLES if name.startswith(start)), None)
    if sample is not None:
        return sample
    return "a" if name.startswith(("VARCHAR", "TEXT", "BLOB")) else "1"


def _value(column: Column, key: Mapping[str, str]) -> object:
    """The value as a lookup sends it."""
    text = _text(column, key)
    kind = parse_type(column.type)
    if kind.name == "BOOLEAN":
        return text.lower() == "true"
    if kind.is_integer and abs(int(text)) < _SAFE_INTEGER:
        return int(text)
    return float(text) if kind.is_float else text


def _block(text: str) -> str:
    """A Python string of several lines."""
    if '"""' in text or "\\" in text or not text.replace("\n", "").isprintable():
        return repr(text)
    return f'"""\n{text}\n"""'


def _python(text: str) -> str:
    """A Python string in double quotes, as formatters write it."""
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else repr(text)
