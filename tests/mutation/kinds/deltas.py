"""Running sums: what a step adds, and what it must not."""

from __future__ import annotations

from tests.mutation.mutation import Mutation


def _deltas(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/lakehouse/test_deltas.py::test_{name}" for name in names)


_DECAY = _deltas("windows_decay_without_data_and_groups_go_and_come_back")
_AHEAD = _deltas("a_row_known_ahead_of_its_time_starts_once")
_LATE = _deltas("data_without_time_and_rows_committed_late")
_NONE = ("tests/lakehouse/test_deltas.py",)

DELTAS = (
    Mutation(
        "a row that went is not taken from the sums", "RunningSums.deltas",
        "when -1 then -({value}) end", "when -1 then 0 end",
        "sums grow for ever", _DECAY,
    ),
    Mutation(
        "a row alive at T0 is added again", "RunningSums.deltas",
        """f" - cast({self._alive(rows, w, 'fb_before')} as tinyint)\"""", '""',
        "a row of D0 counts twice", _AHEAD,
    ),
    Mutation(
        "a sum lives on at its end", "RunningSums._alive",
        'f"{instant} < {rows.ends[place]}"', 'f"{instant} <= {rows.ends[place]}"',
        "< becomes <=", _DECAY,
    ),
    Mutation(
        "a sum's row starts late", "RunningSums._alive",
        '[f"{rows.starts[place]} <= {instant}"]', '[f"{rows.starts[place]} < {instant}"]',
        "<= becomes <", _AHEAD,
    ),
    Mutation(
        "FILTER is forgotten in deltas", "RunningSums.deltas",
        'filtering = f" filter (where {condition})" if condition else ""', 'filtering = ""',
        "every row counts", _deltas("only_rows_that_pass_a_filter_count"),
    ),
    Mutation(
        "sums of two windows share a column", "RunningSums._column",
        "repr((spelled, condition, term, kind))", "repr((condition, term, kind))",
        "one window's rows count in another", _deltas("windows_of_one_sum_are_told_apart"),
    ),
    Mutation(
        "empty groups stay", "RunningSums.finish",
        "from forebay_summed where {MEMBERS} > 0", "from forebay_summed where {MEMBERS} >= 0",
        "an entity without rows has features", _DECAY,
    ),
    Mutation(
        "only starts are looked for", "read_deltas",
        "edges=_edges(leaf, terms)", "edges=_edges(leaf, form.window.starts)",
        "windows do not decay", _DECAY,
    ),
    Mutation(
        "a narrower window's end is not looked for", "read_deltas",
        "terms = dict.fromkeys(t for w in windows for t in (*w.starts, *w.ends))",
        "terms = dict.fromkeys(t for w in windows[:1] for t in (*w.starts, *w.ends))",
        "windows do not decay", _DECAY,
    ),
    Mutation(
        "floats are summed by deltas", "why_no_deltas",
        "is_float(part.function.this) else None", "False else None",
        "a float that left leaves a residue", _NONE,
    ),
    Mutation(
        "HAVING takes deltas", "why_no_deltas",
        "if form.having is not None:", "if form.having is not None and not form.grouped:",
        "HAVING is forgotten", _NONE,
    ),
    Mutation(
        "a naive time is looked for in its own place", "edge_of",
        "return Edge(node.name, term.offset, _SLACK)", "return Edge(node.name, term.offset)",
        "rows of another zone are missed",
        _deltas("a_row_is_found_by_the_time_of_its_zone"),
    ),
    Mutation(
        "new rows of a dotted leaf are all of its rows", "leaf_of",
        "next((x for x in draft.leaves.values() if name_key(x.name) == key), None)",
        "None if key else next(iter(draft.leaves.values()))",
        "removed rows touch nobody",
        _deltas("a_leaf_of_a_dotted_name_is_told_apart_from_its_new_rows"),
    ),
)  # fmt: skip
