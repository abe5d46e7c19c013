"""Replace every model that a query reads by that model's own query, down to the leaves."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.normalize.select_from_functions import select_from_functions
from feature_specs.compile.parse.parse_query import parse_text
from feature_specs.compile.parse.refuse_shapes import refuse_shapes
from feature_specs.compile.sql.name_ctes_apart import name_ctes_apart
from feature_specs.compile.sql.relation_names import name_key, relation_key
from feature_specs.errors import CompileError, UnknownNameError, did_you_mean
from feature_specs.leaf import Leaf, leaf_key
from feature_specs.names import fold_name

#: Note on a subquery: the model whose query it is, by the key of its relation.
MODEL = "model"


def inline_models(draft: Draft) -> Draft:
    """Inline models and give every leaf a one-part name, under which later passes know it.

    Raises:
        UnknownNameError: a table is neither a leaf nor a model.
        CompileError: models read each other in a circle, or a text has a shape that is not supported.

    >>> show(inline_models, "select k, x from stg")
    SELECT k, x FROM (SELECT k, ts, x FROM events AS events) AS stg
    """
    models = {name_key(n): sql for n, sql in draft.view.models.items()}
    leaves: dict[str, Leaf] = {}
    tree = _inline(draft, draft.tree.copy(), models, leaves, ())
    return replace(draft, tree=tree, leaves=leaves)


def _inline(
    draft: Draft,
    tree: exp.Expr,
    models: dict[str, str],
    leaves: dict[str, Leaf],
    path: tuple[str, ...],
) -> exp.Expr:
    refuse_shapes(draft, tree)
    select_from_functions(draft, tree)
    known = {name_key(n): leaf for n, leaf in draft.known.items()}
    # A CTE may have a table's name, and be read where another model's body reads that table.
    taken = {*known, *models, *(leaf_key(n) for n in draft.known)}
    name_ctes_apart(tree, taken)
    local = {fold_name(cte.alias) for cte in tree.find_all(exp.CTE)}
    for table in list(tree.find_all(exp.Table)):
        if not isinstance(table.this, exp.Identifier):
            continue  # what takes JSON apart, in a subquery of its own
        key = relation_key(table)
        table = _with_named_columns(table)
        if not table.db and key in local:
            continue
        alias = table.alias or table.name
        if key in known:
            name = leaf_key(known[key].name)
            leaves[name] = known[key]
            leaf_table = exp.Table(
                this=exp.to_identifier(name),
                alias=exp.TableAlias(this=exp.to_identifier(alias)),
                joins=table.args.get("joins"),
                sample=table.args.get("sample"),
            )
            leaf_table.meta.update(table.meta)
            table.replace(leaf_table)
        elif key in models:
            if key in path:
                raise CompileError(
                    "models read each other in a circle: " + " -> ".join([*path, key]),
                    where=draft.locate(table),
                    hint="break the circle",
                )
            body = parse_text(models[key], draft.dialect, draft.file)
            inner = _inline(draft, body, models, leaves, (*path, key))
            body_of = exp.Subquery(
                this=inner,
                alias=exp.TableAlias(this=exp.to_identifier(alias)),
                joins=table.args.get("joins"),
                sample=table.args.get("sample"),
            )
            body_of.meta[MODEL] = key
            table.replace(body_of)
        else:
            raise UnknownNameError(
                f"table {table.sql(draft.dialect)} is neither a leaf nor a model",
                where=str(draft.locate(table)),
                hint="declare it as a source with a time role; "
                + did_you_mean(key, [*known, *models]),
            )
    return tree


def _with_named_columns(table: exp.Table) -> exp.Table:
    """The table, for whose columns ``from t as q(a, b)`` no longer gives other names.

    SQLGlot drops the names of a table's columns, and keeps those of a subquery's.
    """
    alias = table.args.get("alias")
    if alias is None or not alias.columns:
        return table
    inner = exp.Table(this=table.this, db=table.args.get("db"), catalog=table.args.get("catalog"))
    inner.meta.update(table.meta)
    outer = exp.Subquery(this=exp.select("*").from_(inner, copy=False), alias=alias)
    for part in ("joins", "sample"):
        outer.set(part, table.args.get(part))
    table.replace(outer)
    return inner
