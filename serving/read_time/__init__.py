"""Read-time expressions: JSON trees of catalog.json, compiled to Python closures.

They must give what DuckDB gives, value and error alike: the tests hold each operator to it.
"""

from serving.read_time.compiler import (
    OPERATORS,
    PARTS,
    ReadTime,
    compile_expression,
    compile_feature,
)

__all__ = ["OPERATORS", "PARTS", "ReadTime", "compile_expression", "compile_feature"]
