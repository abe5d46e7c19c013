"""One view in two roles of one service: in training, in dbt, and online."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

import forebay
from feature_specs.errors import ForebayError
from forebay.training.changes import compare
from serving.api.app import create_app
from tests.forebay.conftest import Shell

pytestmark = pytest.mark.slow

ROLES = """
  - name: transfer_risk_v1
    type: ml
    owner: {name: Payments, email: payments@example.com}
    depends_on:
      - ref('card_activity')
      - ref('last_payment')
      - ref('customer_profile')
    config:
      meta:
        feature_service:
          features:
            - customer_profile.plan
            - {view: customer_profile, as: payer_profile, keys: {customer_id: payer_id}}
            - {view: card_activity, as: payer, keys: {customer_id: payer_id}}
            - {view: card_activity, as: payee, keys: {customer_id: Payee_Id}, features: [payments_30d]}
            - {view: last_payment, as: payer_last, keys: {customer_id: payer_id}}
            - {view: last_payment, as: payee_last, keys: {customer_id: Payee_Id}}
            - last_payment.last_amount_cents
"""
#: Each role, the view and the key that it stands for.
VIEW_OF = {
    "payer_profile": ("customer_profile", "payer_id"),
    "payer": ("card_activity", "payer_id"),
    "payee": ("card_activity", "Payee_Id"),
    "payer_last": ("last_payment", "payer_id"),
    "payee_last": ("last_payment", "Payee_Id"),
}
MODEL = """{{ config(materialized='training_set') }}
{{ point_in_time(spine="(select 8 as customer_id, 60 as payer_id, 8 as Payee_Id, timestamptz '2100-01-01 00:00+00' as event_timestamp)",
   service='transfer_risk_v1') }}
"""


@pytest.fixture
def transfers(shop_shell: Shell) -> Shell:
    path = shop_shell.folder / "models" / "services.yml"
    path.write_text(path.read_text().rstrip() + "\n" + ROLES)
    return shop_shell


def spine_of(labels: pd.DataFrame) -> pd.DataFrame:
    payers, payees = labels["customer_id"], labels["customer_id"].shift(1).astype("Int64")
    return labels.assign(payer_id=payers, Payee_Id=payees, customer_id=labels["customer_id"] % 7)


def column(table: pa.Table, name: str) -> list[Any]:
    values: list[Any] = table[name].to_pylist()
    return values


def test_each_role_has_the_view_s_features_of_its_own_key(
    transfers: Shell, labels: pd.DataFrame
) -> None:
    spine = spine_of(labels)
    with forebay.open(transfers.folder) as project:
        made = project.training_set("transfer_risk_v1", spine)
        table = made.to_arrow()
        assert {f["view"] for f in made.record["features"]} == {
            *VIEW_OF,
            "customer_profile",
            "last_payment",
        }
        assert made.record["views"]["payee"]["keys"] == {"customer_id": "Payee_Id"}
        assert "keys" not in made.record["views"]["last_payment"]
        by_another = copy.deepcopy(made.record)
        by_another["views"]["payee"]["keys"] = {"customer_id": "payer_id"}
        assert compare(made.record, by_another).redefined == ("payee__payments_30d",)
        alone: dict[str, pa.Table] = {}
        for key in ("customer_id", "payer_id", "Payee_Id"):
            asked = spine[["event_timestamp"]].assign(customer_id=spine[key])
            alone[key] = project.training_set("dispute_risk_v1", asked).to_arrow()
        compared = 0
        for name in made.features:
            role, _, feature = name.partition("__")
            view, key = VIEW_OF.get(role, (role, "customer_id"))
            theirs = f"{view}__{feature}"
            if theirs in alone[key].column_names:
                assert column(table, name) == column(alone[key], theirs), name
                assert len(set(column(table, name))) > 1
                compared += 1
        assert compared == 19
        with pytest.raises(
            ForebayError, match="the spine lacks key 'Payee_Id' of feature view 'pa"
        ):
            project.training_set("transfer_risk_v1", spine.drop(columns="Payee_Id"))


def test_online_each_role_is_asked_by_its_own_key(transfers: Shell) -> None:
    assert transfers.run("compile") == 0, transfers.err
    (transfers.folder / "models" / "transfers.sql").write_text(MODEL)
    assert transfers.run("build") == 0, transfers.err
    assert transfers.run("sync") == 0
    asked = {"customer_id": [8, 1], "payer_id": [60, None], "payee_id": [8, 60]}
    with forebay.open(transfers.folder) as project:
        catalog = project._catalog()
        vectors = project.vectors("transfer_risk_v1", asked)
        alone = {
            name: project.vectors("dispute_risk_v1", {"customer_id": asked[name]}).to_dict()
            for name in asked
        }
        at_reading = ("seconds_since_last_payment", "days_as_customer")
        for name, values in vectors.to_dict().items():
            role, _, feature = name.partition("__")
            view, key = VIEW_OF.get(role, (role, "customer_id"))
            theirs = alone[key.lower()].get(f"{view}__{feature}")
            if theirs is None:
                assert feature in ("paid_at", "payment_id")
            elif feature in at_reading:
                assert [v is None for v in values] == [v is None for v in theirs]
            else:
                assert values == theirs, name
        assert (1, "payer") in {(a.row, a.view) for a in vectors.absent}
        one = project.vectors(
            ["payee:payments_30d", "payer:payments_30d"], {"payee_id": [8], "payer_id": [60]}
        )
        assert one.to_dicts()[0] == {
            "payee__payments_30d": vectors.to_dicts()[0]["payee__payments_30d"],
            "payer__payments_30d": vectors.to_dicts()[0]["payer__payments_30d"],
        }
    with TestClient(create_app(catalog)) as client:
        answer = client.post(
            "/get-online-features",
            json={
                "features": ["payee:payments_30d", "payer:payments_30d"],
                "entities": {"payee_id": [8], "payer_id": [60]},
                "full_feature_names": True,
            },
        ).json()
    names = answer["metadata"]["feature_names"]
    found = {n: r["values"][0] for n, r in zip(names, answer["results"], strict=True)}
    assert found == one.to_dicts()[0] | {"payee_id": 8, "payer_id": 60}
    built = forebay.open(transfers.folder).training_set(
        "transfer_risk_v1",
        {"customer_id": [8], "payer_id": [60], "Payee_Id": [8],
         "event_timestamp": [pd.Timestamp("2100-01-01", tz="UTC").to_pydatetime()]},
    )  # fmt: skip
    out = transfers.folder / "target" / "transfers.parquet"
    assert transfers.run("train", "transfers", "--out", str(out)) == 0
    assert pq.read_table(out).to_pylist() == built.to_arrow().to_pylist()


@pytest.mark.parametrize(
    ("item", "fault"),
    [
        ("{view: card_activity, as: payer}", "lacks its view, its name or its keys"),
        ("{view: card_activity, as: payer, key: {customer_id: a}}", "did you mean 'keys'"),
        (
            "{view: card_activity, as: last_payment, keys: {customer_id: a}}",
            "name of a feature view",
        ),
        ("{view: card_activity, as: 'p q', keys: {customer_id: a}}", "not a plain name"),
        ("{view: card_activity, as: p, keys: {customer: a}}", "no entity 'customer' in role 'p'"),
        (
            "{view: card_activity, as: p, keys: {customer_id: payments_1d}}",
            "is a column of feature",
        ),
        ("{view: card_activty, as: p, keys: {customer_id: a}}", "did you mean 'card_activity'"),
        ("{view: card_activity, as: p, keys: {customer_id: a}, features: [n]}", "no feature 'n'"),
    ],
)
def test_what_is_no_role(shop_shell: Shell, item: str, fault: str) -> None:
    path: Path = shop_shell.folder / "models" / "services.yml"
    text = path.read_text()
    assert "- card_activity.*" in text
    path.write_text(text.replace("- card_activity.*", f"- card_activity.*\n            - {item}"))
    assert fault in shop_shell.refused("compile")
