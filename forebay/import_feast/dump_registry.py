"""Print the registry of the Feast repository in this folder as JSON. Runs in the Python that has
Feast, and needs no other module of forebay's.

What Feast itself prints goes to standard error. No transformation is unpickled.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any

#: The exit code where Feast is not installed in this Python.
NO_FEAST = 3


def main() -> int:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        feast: Any = import_module("feast")
        to_dict = import_module("google.protobuf.json_format").MessageToDict
    except ImportError as error:
        print(error, file=sys.stderr)
        return NO_FEAST
    store = feast.FeatureStore(repo_path=".")
    registry = to_dict(store.registry.proto(), preserving_proto_field_name=True)
    dumped = {
        "feast": feast.__version__,
        "project": store.project,
        "offline_store": str(getattr(store.config.offline_store, "type", "")),
        "registry": _without_code(registry),
    }
    with answer:
        json.dump(dumped, answer)
    return 0


def _without_code(value: Any) -> Any:
    """Without the pickles of Python functions; their text stays."""
    if isinstance(value, dict):
        return {k: _without_code(v) for k, v in value.items() if k != "body"}
    return [_without_code(v) for v in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
