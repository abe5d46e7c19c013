"""`forebay erase` reaches what was logged of served vectors, in the spool and in the lake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from feature_specs.catalog import load_catalog
from lakehouse.lake import load_table, open_lake
from serving.keys import encode_key
from serving.served.commit_spool import SERVED, commit_spool
from serving.served.served_log import fingerprint, hash_key
from serving.served.spool import Spool
from tests.forebay.small import edit, lake_of, make_project, run_here

pytestmark = pytest.mark.slow

SECRET = b"0123456789abcdef"
ZOE, YAN = "zoe-5f1c0a9b", "yan-5f1c0a9b"


KEYS = '[["customer","VARCHAR"]]'


def log(
    root: Path,
    *whom: str,
    hashed: bool = False,
    keys: str | None = KEYS,
    last: str | None = None,
    view_name: str = "spending",
    secret: bytes = SECRET,
    told: bool = True,
    meaning: str = "m",
) -> None:
    """Log one vector of each; ``keys`` None, and the secret not ``told``, as earlier versions did."""
    spool = Spool(root / "served_vectors")
    for who in whom:
        view = {
            "view": view_name,
            "meaning": meaning,
            "loaded": 1,
            "key": None if hashed else [who] if last is None else [who, last],
            "hash": hash_key(secret, encode_key([who])) if hashed else None,
            "key_secret": fingerprint(secret) if hashed and told else None,
            "status": "PRESENT",
            "features": ["spent_60d"],
            "values": ["3"],
            "request": None,
        }
        if keys is not None:
            view["key_columns"] = keys
        line = {"at": 5_000_000, "service": None, "views": [view]}
        assert spool.write([json.dumps(line).encode() + b"\n"]) == 1
    spool.finish()


def left(root: Path) -> list[str]:
    rows = load_table(open_lake(lake_of(root)), SERVED).scan().to_arrow().to_pylist()
    return sorted(row["key"][0] if row["key"] else row["key_hash"] for row in rows)


def test_what_was_logged_is_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_project(tmp_path / "shop")
    monkeypatch.chdir(root)
    run_here("compile")
    log(root, ZOE, YAN)
    commit_spool(open_lake(lake_of(root)), root / "served_vectors")
    log(root, ZOE, YAN, hashed=True)
    log(root, ZOE)
    hashes = {who: hash_key(SECRET, encode_key([who])) for who in (ZOE, YAN)}

    # Without the secret hashes cannot be told, and it says so.
    run_here("erase", f"customer={ZOE}", "--yes", code=1)
    told = capsys.readouterr()
    assert "keys of 'spending' are hashes" in told.out + told.err
    assert left(root) == sorted([YAN, *hashes.values()]), told

    (root / "secret").write_bytes(SECRET)
    edit(
        root,
        "profiles/profiles.yml",
        "            online: lmdb://online.lmdb\n",
        "            online: lmdb://online.lmdb\n            serve: {served_secret: secret}\n",
    )
    run_here("erase", f"customer={ZOE}", "--yes")
    assert left(root) == sorted([YAN, hashes[YAN]])
    for path in (root / "lake").rglob("*.parquet"):
        assert (
            ZOE.encode() not in path.read_bytes() and hashes[ZOE].encode() not in path.read_bytes()
        )


def test_each_row_is_read_by_the_keys_that_it_was_logged_under(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_project(tmp_path / "shop")
    monkeypatch.chdir(root)
    run_here("compile")
    # The customer was the second of two keys once, and what was the first is no customer.
    log(root, ZOE, last=YAN, keys='[["shop","VARCHAR"],["customer","VARCHAR"]]')
    log(root, YAN, last=ZOE, keys='[["shop","VARCHAR"],["customer","VARCHAR"]]')
    run_here("erase", f"customer={ZOE}", "--yes")
    assert left(root) == [ZOE]
    capsys.readouterr()

    # Logged by a version that did not note the keys, of a definition that is no more: nobody knows.
    log(root, ZOE, keys=None)
    run_here("erase", f"customer={ZOE}", "--yes", code=1)
    told = capsys.readouterr()
    assert "without the names of their keys" in told.out + told.err
    assert left(root) == [ZOE, ZOE]


def test_hashes_of_another_secret_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_project(tmp_path / "shop")
    monkeypatch.chdir(root)
    edit(
        root,
        "profiles/profiles.yml",
        "            online: lmdb://online.lmdb\n",
        "            online: lmdb://online.lmdb\n            serve: {served_secret: secret}\n",
    )
    (root / "secret").write_bytes(SECRET)
    run_here("compile")
    before = b"fedcba9876543210"
    log(root, ZOE, hashed=True, secret=before)
    log(root, ZOE, YAN, hashed=True)
    run_here("erase", f"customer={ZOE}", "--yes", code=1)
    told = capsys.readouterr()
    assert f"of fingerprint {fingerprint(before)}" in told.out + told.err
    of_then = hash_key(before, encode_key([ZOE]))
    assert left(root) == sorted([of_then, hash_key(SECRET, encode_key([YAN]))])

    # By the secret of then they are found; the present one's are told then.
    (root / "secret").write_bytes(before)
    run_here("erase", f"customer={ZOE}", "--yes", code=1)
    assert left(root) == [hash_key(SECRET, encode_key([YAN]))]
    capsys.readouterr()

    # What an earlier version logged is found under the present secret, and may be under another.
    log(root, ZOE, hashed=True, secret=before, told=False)
    run_here("erase", f"customer={ZOE}", "--yes", code=1)
    told = capsys.readouterr()
    assert left(root) == [hash_key(SECRET, encode_key([YAN]))]
    assert "nothing says under which secret" in told.out + told.err


ROLES = """\
exposures:
  - name: transfers
    type: ml
    owner: {name: Risk}
    depends_on: [ref('spending')]
    config:
      meta:
        feature_service:
          features:
            - {view: spending, as: payer_spending, keys: {customer: payer}, features: [spent_60d]}
"""


def test_rows_of_a_role_are_found_by_the_names_of_its_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_project(tmp_path / "shop", {"models/services.yml": ROLES})
    monkeypatch.chdir(root)
    run_here("compile")
    present = load_catalog(root / "target/forebay/catalog.json").views["spending"].definition_hash
    for meaning in ("m", present):
        log(
            root,
            ZOE,
            YAN,
            keys='[["payer","VARCHAR"]]',
            view_name="payer_spending",
            meaning=meaning,
        )
    run_here("erase", f"customer={ZOE}", "--yes")
    assert left(root) == [YAN, YAN]
    capsys.readouterr()

    # A role that is no more: nobody knows whose key its column is.
    log(root, ZOE, keys='[["payee","VARCHAR"]]', view_name="payee_spending")
    run_here("erase", f"customer={ZOE}", "--yes", code=1)
    told = capsys.readouterr()
    assert "'payee_spending' is not a view or role" in told.out + told.err
    assert left(root) == sorted([YAN, YAN, ZOE])


def test_statistics_that_name_it_are_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A feature that repeats a key has it among its frequent values, in the catalogue's file too."""
    last = (
        "select customer, paid_at, amount, customer as payer, amount * 2 as twice "
        "from {{ source('raw', 'payments') }}\n"
    )
    root = make_project(tmp_path / "shop", {"models/last_payment.sql": last})
    monkeypatch.chdir(root)
    run_here("build")

    def told(table: str) -> dict[str, set[str]]:
        rows = load_table(open_lake(lake_of(root)), table).scan().to_arrow().to_pylist()
        return {row["feature"]: {*row["top_values"], *row["categories"]} for row in rows}

    tables = ("forebay.feature_statistics", "forebay.feature_baselines")
    shapes = root / "target/forebay/statistics.json"
    assert all(told(name)["payer"] == {"a", "b"} for name in tables)
    assert '"a"' in shapes.read_text()
    run_here("erase", "customer=a", "--yes")
    assert "is in none of the" in capsys.readouterr().out
    for name in tables:
        assert "payer" not in told(name)
        assert {"spent_60d", "most_60d", "twice"} <= set(told(name)), "others stay"
    assert '"a"' not in shapes.read_text()
    run_here("build")
    assert told(tables[1])["payer"] == {"b"}, "measured anew, in bins of its own"
