"""Keep a command's process from loading what it does not use: half of a short command's time.

- pandas and NumPy: PyArrow imports the one for its first array and the other with itself, wherever
  they are installed. Few commands make a data frame or an array of NumPy's.
- PyIceberg's parser of filters and its reader of configuration files, with the grammars that they
  build: loaded once somebody calls them.
- The validators of PyIceberg's pydantic models: built when a model is first used.
- Python's search for cycles: importing makes a million objects, none of them garbage.

What runs somebody else's Python, as dbt's models and plugins are, gets pandas and NumPy.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

#: Commands that may run Python models: there PyArrow has to know of pandas from its first array on.
RUN_MODELS = ("build", "demo")
#: Commands that write or rewrite tables, which an index of keys by NumPy makes quick.
STEP_VIEWS = ("advance", "backfill", "stream", "replay", "maintain", "erase")
#: Commands whose process lives on, where a rare search for cycles would be a long one.
LONG_LIVED = ("serve", "stream", "replay")

_HIDDEN = ("numpy", "pandas")
_LOADED_WHEN_USED = ("pyiceberg.expressions.parser", "strictyaml")


class _Hide(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        if name in _HIDDEN:
            raise ModuleNotFoundError("forebay does without it here", name=name)


class _Later(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "pyiceberg":
            from pydantic import BaseModel

            BaseModel.model_config["defer_build"] = True
        if name not in _LOADED_WHEN_USED:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


_hide = _Hide()


def load_less(words: Sequence[str]) -> None:
    """For a process that is a command, never for one that merely imports us.

    Args:
        words: of the command line.
    """
    if not set(LONG_LIVED) & set(words):
        gc.set_threshold(100_000, 50, 100)
    sys.meta_path.insert(0, _Later())
    if not {*RUN_MODELS, *STEP_VIEWS} & set(words) and not set(_HIDDEN) & set(sys.modules):
        sys.meta_path.insert(0, _hide)


def load_all() -> None:
    """Let pandas and NumPy be imported again."""
    if _hide in sys.meta_path:
        sys.meta_path.remove(_hide)
