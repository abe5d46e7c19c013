"""Read tables by the engine's own SQL, such as a table of another catalog at one snapshot."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from feature_specs.names import fold_name


def place_relations(tree: exp.Expr, relations: Mapping[str, str]) -> None:
    """Put the SQL of each relation in the place of its name, in place.

    Args:
        relations: dotted name, with or without quotation marks, to SQL that may stand in FROM.

    >>> from sqlglot import parse_one
    >>> tree = parse_one("select e.k from raw.events as e")
    >>> place_relations(tree, {"raw.events": "lake.raw.events FOR VERSION AS OF 7"})
    >>> tree.sql()
    'SELECT e.k FROM lake.raw.events FOR VERSION AS OF 7 AS e'
    """
    known = {_key(exp.to_table(name, dialect="duckdb")): sql for name, sql in relations.items()}
    for table in list(tree.find_all(exp.Table)) if known else []:
        sql = known.get(_key(table))
        if sql is None:
            continue
        alias = table.args.get("alias")
        if alias is None:
            alias = exp.TableAlias(this=exp.to_identifier(table.name, quoted=True))
        placed = exp.Table(this=exp.Var(this=sql), alias=alias.copy())
        placed.set("joins", table.args.get("joins"))
        table.replace(placed)


def _key(table: exp.Table) -> str:
    return fold_name(".".join(part.name for part in table.parts))
