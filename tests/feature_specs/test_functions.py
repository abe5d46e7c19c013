"""DuckDB's whole catalogue of functions: each is passed on with the same value, or refused."""

from __future__ import annotations

import re
from itertools import islice, product
from pathlib import Path

import duckdb
import pytest

from feature_specs.compile import compile_view
from feature_specs.compile.parse.parse_query import parse_text
from feature_specs.compile.sql.duckdb_functions import (
    AGGREGATES,
    CLOCKS,
    PURE,
    REFUSED,
    why_refused,
)
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.errors import CompileError, ForebayError
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView

pytestmark = pytest.mark.many_cases

_FIXTURES = Path(__file__).parents[1] / "fixtures" / "author_text"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
#: Macros that the compiler writes out as the aggregates that they are.
_WRITTEN_OUT = {"weighted_avg", "wavg"}
#: Of each type, values to try.
_VALUES = {
    "VARCHAR": ("s", "s2", "j::varchar", "'%Y-%m-%d'", "'day'", "'0110'", "'x.y/z'"),
    "ANY": ("i", "s", "d", "l", "st"), "ANY[]": ("l", "ls", "ld"), "T": ("i", "s"),
    "T[]": ("l", "ls"), "JSON": ("j",), "BLOB": ("bl",), "BIT": ("bt",), "BOOLEAN": ("bo",),
    "DOUBLE": ("0.5", "d", "n::double"), "FLOAT": ("f",), "DECIMAL": ("n",), "DATE": ("dt",),
    "TIMESTAMP": ("ts",), "TIMESTAMP WITH TIME ZONE": ("tz",), "TIME": ("tm",), "INTERVAL": ("iv",),
    "UUID": ("uid",), "MAP(K, V)": ("m",), "K": ("'a'",), "V": ("1",), "LAMBDA": ("lambda x: x",),
    "STRUCT": ("st",), "DOUBLE[]": ("ld",), "BIGINT[]": ("l",), "VARCHAR[]": ("ls",),
    "NULL": ("null",), "TIMESTAMP_NS": ("ts::timestamp_ns",), "BOOLEAN[]": ("[bo]",),
    "TIME WITH TIME ZONE": ("tm::timetz",), "BIGNUM": ("i::bignum",),
}  # fmt: skip
_NUMBER = ("i", "2", "u", "k")
#: Calls of functions whose arguments no type tells.
_CALLS = {
    "strptime": ("strptime('2024-02-29', '%Y-%m-%d')",),
    "try_strptime": ("try_strptime(s, '%Y-%m-%d')",),
    "from_json": ("from_json(j, '\"VARCHAR\"')",),
    "from_json_strict": ("from_json_strict('{\"a\":1}', '{\"a\":\"INTEGER\"}')",),
    "json_transform": ("json_transform(j, '\"VARCHAR\"')",),
    "json_transform_strict": ("json_transform_strict('{\"a\":1}', '{\"a\":\"INTEGER\"}')",),
    "from_base64": ("from_base64('aGk=')",), "from_hex": ("from_hex('ff')",),
    "unhex": ("unhex('ff')",), "from_binary": ("from_binary('01')",), "unbin": ("unbin('01')",),
    "list_reduce": ("list_reduce([1, 2], lambda x, y: x + y)",),
    "array_reduce": ("array_reduce([1, 2], lambda x, y: x + y)",),
    "reduce": ("reduce([1, 2], lambda x, y: x + y)",),
    "list_filter": ("list_filter(l, lambda x: x > 1)",),
    "array_filter": ("array_filter(l, lambda x: x > 1)",),
    "filter": ("filter(l, lambda x: x > 1)",),
    "list_aggregate": ("list_aggregate(l, 'sum')",), "array_aggregate": ("array_aggregate(l, 'sum')",),
    "list_aggr": ("list_aggr(l, 'max')",), "array_aggr": ("array_aggr(l, 'max')",),
    "aggregate": ("aggregate(l, 'min')",), "getvariable": (),
    "lcase": ("lcase(s)",),
    "parse_formatted_bytes": ("parse_formatted_bytes('5 KB')",), "if": ("if(bo, i, k)",),
    "map_from_entries": ("map_from_entries([(1, 'a')])",), "struct_extract": ("struct_extract(st, 'a')",),
    "struct_extract_at": ("struct_extract_at(row(i, s), 1)",), "struct_insert": ("struct_insert(st, z := 1)",),
    "struct_update": ("struct_update(st, a := 1)",), "struct_pack": ("struct_pack(a := i)",),
    "struct_concat": ("struct_concat(st, {'z': 1})",), "struct_contains": ("struct_contains(row(i, 2), 2)",),
    "struct_has": ("struct_has(row(i, 2), 2)",), "struct_indexof": ("struct_indexof(row(i, 2), 2)",),
    "struct_position": ("struct_position(row(i, 2), 2)",), "ord": ("ord(s)",),
    "uuid_extract_timestamp": ("uuid_extract_timestamp('01890a5d-ac96-774b-bcce-b302099a8057'::uuid)",),
    "uuid_extract_version": ("uuid_extract_version(uid)",), "flatten": ("flatten([l, l])",),
    "array_value": ("array_value(1, 2)",), "array_to_json": ("array_to_json(l)",),
    "time_bucket": ("time_bucket(interval '2 days', ts)",), "timezone": ("timezone('UTC', ts)",),
    "equi_width_bins": ("equi_width_bins(0, 10, 2, true)",), "regexp_escape": ("regexp_escape(s)",),
    "make_time": ("make_time(1, 2, 3.5)",), "bar": ("bar(k, 0, 10, 5)",), "concat": ("concat(s, s2)",),
    "make_timestamp": ("make_timestamp(2024, 1, 2, 3, 4, 5.5)",), "age": ("age(ts, ts)",),
    "make_timestamptz": ("make_timestamptz(2024, 1, 2, 3, 4, 5.5)",), "row": ("row(i, s)",),
    "json_merge_patch": ("json_merge_patch(j, j)",), "array_zip": ("array_zip(l, l)",),
    "date_add": ("date_add(ts, interval '1 day')",), "list_zip": ("list_zip(l, l)",),
    "url_decode": ("url_decode('a%20b')",), "decode": ("decode('abc'::blob)",),
    "factorial": ("factorial(k)",), "chr": ("chr(65)",), "set_bit": ("set_bit('0110'::bit, 0, 1)",),
    "get_bit": ("get_bit('0110'::bit, 0)",), "repeat": ("repeat(s, k)",), "to_base": ("to_base(k, 2)",),
    "map_concat": ("map_concat(m, m)",), "map_contains_entry": ("map_contains_entry(m, 'a', 1)",),
    "array_cross_product": ("array_cross_product([1, 2, 3]::double[3], [3, 2, 1]::double[3])",),
    "json_object": ("json_object('a', i)",), "format": ("format('{}', i)",), "printf": ("printf('%d', i)",),
    "hash": ("hash(i)",), "list_resize": ("list_resize(l, 2)",), "array_resize": ("array_resize(l, 2)",),
    "date_part": ("date_part('year', ts)",), "datepart": ("datepart('year', ts)",),
    "date_sub": ("date_sub('day', ts, ts)",), "datesub": ("datesub('day', ts, ts)",),
    "date_diff": ("date_diff('day', ts, ts)",), "datediff": ("datediff('day', ts, ts)",),
    "date_trunc": ("date_trunc('day', ts)",), "datetrunc": ("datetrunc('day', ts)",),
    "extract": (), "sqrt": ("sqrt(k)",), "gamma": ("gamma(k)",), "lgamma": ("lgamma(k)",),
    "ln": ("ln(k)",), "log": ("log(k)",), "log2": ("log2(k)",), "log10": ("log10(k)",),
    "acosh": ("acosh(k)",), "cot": ("cot(k)",), "split_part": ("split_part(s, 'l', 1)",),
    "array_distance": ("array_distance([1.0]::double[1], [2.0]::double[1])",),
    "left_grapheme": ("left_grapheme(s, 2)",), "right_grapheme": ("right_grapheme(s, 2)",),
    "array_cosine_distance": ("array_cosine_distance([1.0, 2.0]::double[2], [2.0, 1.0]::double[2])",),
    "array_cosine_similarity": ("array_cosine_similarity([1.0, 2.0]::double[2], [2.0, 1.0]::double[2])",),
    "array_dot_product": ("array_dot_product([1.0, 2.0]::double[2], [2.0, 1.0]::double[2])",),
    "array_inner_product": ("array_inner_product([1.0, 2.0]::double[2], [2.0, 1.0]::double[2])",),
    "array_negative_dot_product": ("array_negative_dot_product([1.0, 2.0]::double[2], [2.0, 1.0]::double[2])",),
    "array_negative_inner_product": ("array_negative_inner_product([1.0, 2.0]::double[2], [2.0, 1.0]::double[2])",),
    "array_append": ("array_append(l, 7)",),
    "array_push_back": ("array_push_back(l, 7)",),
    "list_append": ("list_append(l, 7)",),
    "array_push_front": ("array_push_front(l, 7)",),
    "array_select": ("array_select(l, [1])",),
    "list_select": ("list_select(l, [1])",),
    "array_slice": ("array_slice(l, 1, 2)",),
    "list_slice": ("list_slice(l, 1, 2)",),
    "array_where": ("array_where([1, 2], [true, false])",),
    "list_where": ("list_where([1, 2], [true, false])",),
    "array_to_string": ("array_to_string(ls, '-')",),
    "array_to_string_comma_default": ("array_to_string_comma_default(ls, '-')",),
    "ilike_escape": ("ilike_escape(s, 'H%', '!')",),
    "like_escape": ("like_escape(s, 'H%', '!')",),
    "not_ilike_escape": ("not_ilike_escape(s, 'H%', '!')",),
    "not_like_escape": ("not_like_escape(s, 'H%', '!')",),
    "list_bool_and": ("list_bool_and([bo, bo2])",),
    "list_bool_or": ("list_bool_or([bo, bo2])",),
    "bitstring": ("bitstring('01', 4)",),
    "days_in_month": ("days_in_month(dt)",),
    "hamming": ("hamming('ab', 'ac')",),
    "jaccard": ("jaccard('ab', 'ac')",),
    "json_quote": ("json_quote(s)",),
    "map": ("map(['a'], [i])",),
    "map_contains_value": ("map_contains_value(m, 1)",),
    "position": ("position('l' in s)",),
    "regexp_replace": ("regexp_replace(s, 'l', 'x')",),
    "to_json": ("to_json(i)",),
    "json_deep_merge": ("json_deep_merge(j, j)",), "regexp_split_to_array": ("regexp_split_to_array(s, 'l')",),
}  # fmt: skip


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect(config={"threads": 1})
    made.execute("set timezone = 'UTC'")
    made.execute((_FIXTURES / "table.sql").read_text())
    return made


def _catalogue(connection: duckdb.DuckDBPyConnection, *kinds: str) -> set[str]:
    rows = connection.execute(
        "select distinct lower(function_name) from duckdb_functions() "
        "where list_contains(?, function_type)",
        [list(kinds)],
    ).fetchall()
    return {name for (name,) in rows if _NAME.fullmatch(name)}


def test_every_function_of_the_catalogue_is_classified(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    known = PURE | CLOCKS | AGGREGATES | _WRITTEN_OUT
    found = _catalogue(connection, "scalar", "macro", "aggregate")
    assert not {n for n in found if n not in known and why_refused(n) is None}
    assert not {n for n in known if why_refused(n) is not None}
    assert not (PURE & AGGREGATES) | (PURE & CLOCKS)
    assert not known - found - {"row", "geomean", "current_localtime"}


def _calls(connection: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    if name in _CALLS:
        return list(_CALLS[name])
    overloads = connection.execute(
        "select distinct parameter_types, parameters from duckdb_functions() "
        "where lower(function_name) = ?",
        [name],
    ).fetchall()
    calls = []
    for types, parameters in overloads:
        kinds = [t or "ANY" for t in types] or ["ANY"] * len(parameters)
        choices = [_VALUES.get(k, _NUMBER if "[" not in k else ("ld",)) for k in kinds]
        calls += [f"{name}({', '.join(values)})" for values in islice(product(*choices), 6)]
    return calls


def _value(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[str, list[str]] | None:
    try:
        result = connection.execute(sql)
        return str([column[1] for column in result.description or []]), [
            repr(r) for r in result.fetchall()
        ]
    except duckdb.Error:
        return None


def test_pure_functions_are_passed_on_with_the_same_value(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    wrong, untried = [], []
    for name in sorted(PURE):
        tried = 0
        for call in _calls(connection, name):
            sql = f"select {call} as v from t order by id"
            expected = _value(connection, sql)
            if expected is None:
                continue
            tried += 1
            try:
                written = duckdb_sql(parse_text(sql, "duckdb", "f.sql"))
            except CompileError:
                continue
            if _value(connection, written) != expected:
                wrong.append(f"{call} is written as {written}")
        if not tried and _CALLS.get(name) != ():
            untried.append(name)
    assert not wrong, "\n".join(wrong)
    assert not untried, untried


_EVENTS = Leaf(
    name="events",
    columns={"k": "VARCHAR", "v": "INTEGER", "ts": "TIMESTAMP WITH TIME ZONE"},
    event_time="ts",
)


@pytest.mark.parametrize("name", sorted(set(REFUSED) - {"rand", "getenv"}))
def test_refused_functions_are_refused(name: str) -> None:
    for arguments in ("", "v"):
        sql = f"select k, sum(v) as s, max({name}({arguments})) as x from events group by k"
        with pytest.raises(ForebayError):
            compile_view(FeatureView(name="v", sql=sql, entities=("k",)), [_EVENTS])
