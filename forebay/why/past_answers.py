"""One feature as the online store answers it, or as a server has answered it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import DataError, ForebayError
from feature_specs.instants import epoch_us, from_epoch_us
from feature_specs.names import fold_name
from feature_specs.sql_types import parse_type
from forebay.client.request import vector_requests
from forebay.why.source_rows import dicts
from lakehouse.lake import find_table, load_table, open_lake
from lakehouse.past_states import leaves_at
from lakehouse.relations import tune
from serving.access.gate import CALLER
from serving.api.vectors.endpoint import VectorAnswerer
from serving.erase_online import entity_texts
from serving.keys import encode_key
from serving.lookup.lookup import Lookup
from serving.lookup.read import UNAVAILABLE
from serving.rows import from_json
from serving.served.commit_spool import SERVED
from serving.served.logged_values import (
    fragment_sql,
    has_sql,
    names_of,
    read_request,
    read_value,
)
from serving.served.read_log import log_sql
from serving.served.served_log import hash_key
from serving.state import load_state
from serving.stores import StoredView, open_store

#: Before any answer.
_EVER = datetime(1, 1, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Answer:
    """A value that somebody got.

    Attributes:
        at: when; loaded_at: T of the rows.
        request: values that the caller sent, as texts, by their names in lower case; None of null.
        leaves: D of the rows; None where it is not known.
    """

    at: datetime
    loaded_at: datetime
    value: Any
    request: Mapping[str, str | None] = field(default_factory=dict)
    leaves: Mapping[str, int | None] | None = None


def online_answer(
    catalog: Catalog,
    view: str,
    feature: str,
    key: Mapping[str, str],
    request: Mapping[str, str],
    at: datetime,
) -> Answer:
    """What a server would answer at an instant.

    Raises:
        ForebayError: the view is not synced, or its rows are of a later instant.
    """
    entry = catalog.view(catalog.view_behind(view))
    with closing(open_store(catalog.online, readonly=True)) as store:
        state = load_state(store.get_state(StoredView.of(entry)))
    if state is None or state.semantic_hash != entry.semantic_hash:
        raise ForebayError(
            f"feature view {entry.name!r} is not in the online store as it is compiled",
            where=entry.name,
            hint="run `forebay sync`",
        )
    if state.at > epoch_us(at):
        raise DataError(
            f"the online store's rows are of {from_epoch_us(state.at).isoformat()}, later than "
            f"{at.isoformat()}",
            where="--at",
            hint="leave --online out, or ask for a later instant",
        )
    spelled = {c.name: request[fold_name(c.name)] for c in entry.requests}
    (asked,) = vector_requests(
        [f"{view}:{feature}"], {n: [v] for n, v in key.items()}, spelled or None, False, None
    )
    with closing(Lookup(catalog, lambda: at)) as lookup:
        scope: dict[str, Any] = {"path": asked.path, "headers": (), CALLER: None}
        body = asyncio.run(VectorAnswerer(lookup, None).answer(scope, asked.body)).body
    text = json.loads(body)["vectors"][0][0]
    log = load_table(open_lake(catalog.lake), entry.history_table)
    leaves = state.leaves
    if leaves is None:
        leaves = leaves_at(log, state.at, state.log, state.semantic_hash)
    value = _whole(from_json(parse_type(entry.feature(feature).type))(text))
    return Answer(at, from_epoch_us(state.at), value, request, leaves)


def served_answer(
    catalog: Catalog,
    view: str,
    feature: str,
    key: Mapping[str, str],
    until: datetime,
    secret: bytes | None,
) -> Answer:
    """The last logged answer that has a feature of an entity, up to an instant.

    Raises:
        DataError: there is none, or it was of another definition of the view.
    """
    shown = catalog.readable[view]
    entry = catalog.view(catalog.view_behind(view))
    row = _last(catalog, shown, feature, key, until, secret)
    if row is None:
        raise DataError(
            f"no answer up to {until.isoformat()} with {view}.{feature} of {_said(key)} is logged",
            where=SERVED,
            hint="run `forebay served` to commit what servers have logged, or ask for another instant",
        )
    if row["meaning"] != shown.definition_hash:
        raise DataError(
            f"what was served at {row['at'].isoformat()} was of another definition of {view!r}",
            where=SERVED,
            hint="check out the project as it was then, and ask there",
        )
    value = _whole(read_value(row["fragment"], shown.feature(feature).type))
    loaded = row["loaded_at"]
    log = find_table(open_lake(catalog.lake), entry.history_table)
    if row["leaves"] is not None:
        leaves = json.loads(row["leaves"])
    else:
        at, query = epoch_us(loaded), entry.semantic_hash
        leaves = None if log is None else leaves_at(log, at, semantic_hash=query)
    return Answer(row["at"], loaded, value, read_request(row["request"]), leaves)


def _last(
    catalog: Catalog,
    view: ViewEntry,
    feature: str,
    key: Mapping[str, str],
    until: datetime,
    secret: bytes | None,
) -> Mapping[str, Any] | None:
    texts = entity_texts(view.entities, key)
    logged = log_sql(open_lake(catalog.lake), _EVER, until, [view.name])
    if texts is None or logged is None:
        return None
    whole = [texts[place] for place in range(len(texts))]
    names = names_of(view, feature)
    given = {
        "key": whole,
        "hash": None if secret is None else hash_key(secret, encode_key(whole)),
        "unavailable": UNAVAILABLE,
    }
    sql = (
        f'select "at", loaded_at, meaning, {fragment_sql(names)} as fragment, request, leaves '
        f"from ({logged}) where (key = $key or key_hash = $hash) and status <> $unavailable "
        f'and {has_sql(names)} order by "at" desc, file desc, line desc limit 1'
    )
    with duckdb.connect() as connection:
        tune(connection)
        rows = dicts(connection.execute(sql, given))
    return rows[0] if rows else None


def _whole(value: Any) -> Any:
    """An integer of 128 bits, which tables keep as a decimal without places, as the query gives it."""
    whole = isinstance(value, Decimal) and value.as_tuple().exponent == 0
    return int(value) if whole else value


def _said(key: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in key.items())
