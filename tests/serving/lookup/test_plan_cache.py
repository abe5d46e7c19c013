"""The cache of plans keeps within its limit and forgets what was unused longest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.lookup.plan_cache import PlanCache


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4), st.booleans())))
def test_it_is_an_lru_of_bounded_weight(steps: list[tuple[int, int, bool]]) -> None:
    cache = PlanCache[str](weight_limit=8)
    model: dict[int, int] = {}  # weight by shape, the longest unused first
    for shape, weight, put in steps:
        if put:
            model.pop(shape, None)
            model[shape] = weight
            while sum(model.values()) > 8:
                del model[next(iter(model))]
            cache.put(shape, f"plan {shape}", weight)
        elif shape in model:
            model[shape] = model.pop(shape)
            assert cache.get(shape) == f"plan {shape}"
        else:
            assert cache.get(shape) is None
