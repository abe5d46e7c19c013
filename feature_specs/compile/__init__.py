"""From one query to its variants: one pass a file, named for what it does."""

from feature_specs.compile.compiler import (
    CompiledView,
    compile_service,
    compile_view,
)
from feature_specs.compile.maintain_state import Incremental

__all__ = ["CompiledView", "Incremental", "compile_service", "compile_view"]
