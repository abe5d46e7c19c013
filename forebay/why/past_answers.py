"""One feature as the online store answers it, or as a server has answered it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import DataError, ForebayError
from feature_specs.instants import epoch_us, from_epoch_us
from feature_specs.names import fold_name
from feature_specs.sql_types import parse_type
from forebay.client.request import vector_requests
from lakehouse.lake import find_table, load_table, open_lake
from lakehouse.past_states import leaves_at
from serving.access.gate import CALLER
from serving.api.vectors.endpoint import VectorAnswerer
from serving.erase_online import entity_texts
from serving.keys import encode_key
from serving.lookup.lookup import Lookup
from serving.lookup.read import UNAVAILABLE
from serving.rows import from_json
from serving.served.commit_spool import SERVED
from serving.served.logged_values import read_request, read_value
from serving.served.served_log import hash_key
from serving.state import load_state
from serving.stores import StoredView, open_store


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
    leaves = state.leaves if state.leaves is not None else leaves_at(log, state.at)
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
    place = [fold_name(name) for name in row["features"]].index(fold_name(feature))
    value = _whole(read_value(row["values"][place], shown.feature(feature).type))
    log = find_table(open_lake(catalog.lake), entry.history_table)
    loaded = row["loaded_at"]
    leaves = None if log is None else leaves_at(log, epoch_us(loaded))
    return Answer(row["at"], loaded, value, read_request(row["request"]), leaves)


def _last(
    catalog: Catalog,
    view: ViewEntry,
    feature: str,
    key: Mapping[str, str],
    until: datetime,
    secret: bytes | None,
) -> Mapping[str, Any] | None:
    table = find_table(open_lake(catalog.lake), SERVED)
    texts = entity_texts(view.entities, key)
    if table is None or texts is None:
        return None
    whole = [texts[place] for place in range(len(texts))]
    hashed = None if secret is None else hash_key(secret, encode_key(whole))
    found = None
    wanted = f"day <= '{until.date()}' and at <= '{until.isoformat()}' and view = '{view.name}'"
    for batch in table.scan(row_filter=wanted).to_arrow_batch_reader():
        for row in batch.to_pylist():
            same_key = row["key"] == whole or (hashed is not None and row["key_hash"] == hashed)
            has = fold_name(feature) in map(fold_name, row["features"])
            if same_key and has and row["status"] != UNAVAILABLE:
                found = row if found is None or found["at"] <= row["at"] else found
    return found


def _whole(value: Any) -> Any:
    """An integer of 128 bits, which tables keep as a decimal without places, as the query gives it."""
    whole = isinstance(value, Decimal) and value.as_tuple().exponent == 0
    return int(value) if whole else value


def _said(key: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in key.items())
