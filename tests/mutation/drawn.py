"""``python -m tests.mutation.drawn SEED COUNT [VARIANT]``: draw cases until one disagrees."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from tests.prove.check import check
from tests.prove.engines import Engines
from tests.prove.run import case_name
from tests.prove.views import draw_case


def main(arguments: Sequence[str]) -> int:
    """Print the first case that disagrees, as JSON; returns 1 where there is one."""
    numbers = arguments[1].split(":")
    first, last = (int(numbers[0]), int(numbers[-1])) if len(numbers) > 1 else (0, int(numbers[0]))
    only = arguments[2] if len(arguments) > 2 else None
    engines = Engines()
    for number in range(first, last):
        name = case_name(int(arguments[0]), number)
        outcome = check(draw_case(name), engines, only)
        if outcome.status == "failed":
            print(json.dumps({"test": f"drawn case {name}", "message": outcome.message[:2000]}))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
