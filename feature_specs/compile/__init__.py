"""From one query to its variants: one pass per file, named for what it does."""

from feature_specs.compile.compile_service import compile_service
from feature_specs.compile.compiled_view import CompiledView
from feature_specs.compile.compiler import compile_view
from feature_specs.compile.variants.maintain_state import Incremental

__all__ = ["CompiledView", "Incremental", "compile_service", "compile_view"]
