"""Reading the interval form at the spine's instants, and choosing how."""

from __future__ import annotations

from tests.mutation.mutation import (
    DRAWN,
    HUGE,
    TIES,
    Mutation,
    algebra,
    edges,
    holes,
    variants,
)

_OPEN = variants("window open at its far edge")
_LATE = variants("late rows, some later than the window")
_LATE_FILTER = variants("late rows in FILTER")
_HISTORY = variants("history", "history of late rows")
_TOGETHER = ("tests/feature_specs/test_histories_together.py",)

LOWERINGS = (
    Mutation(
        "the base of a lifetime is forgotten", "_Totals._difference",
        'return f"({came} - {came_pass.read(term, BASE)})"', 'return f"({came})"',
        "totals of the keys before are counted", variants("lifetime"),
    ),
    Mutation(
        "a window reads one microsecond off", "_Totals._difference",
        "came_pass.read(term, window.width)", "came_pass.read(term, window.width - 1)",
        "off by one microsecond",
        edges("a_window[exact->-inclusive]"),
    ),
    Mutation(
        "late rows never leave", "_Totals._difference",
        'return f"({came} - {timely.read(term, after)} - {late.read(term, 0)})"',
        'return f"({came} - {timely.read(term, after)})"',
        "rows that came after the narrowest window are never taken off", _LATE_FILTER,
    ),
    Mutation(
        "a row leaves before it came", "_Totals._difference",
        'f"late_{start}_{first}_{end}", f"greatest({start}, {end})",', 'f"late_{start}_{first}_{end}", end,',
        "a row too late for its window counts below zero",
        edges("windows_in_filter"),
    ),
    Mutation(
        "every window is as narrow as the narrowest", "_Totals._apart",
        "return first, end.offset - narrowest.ends[0].offset", "return first, 0",
        "a wrong shift", _LATE_FILTER,
    ),
    Mutation(
        "the sum of nothing is 0", "finished",
        "{n} > 0 then cast({total} as {kind.total}) end",
        "{n} >= 0 then cast({total} as {kind.total}) end",
        "0 for null",
        edges("a_window[exact->-inclusive]"),
    ),
    Mutation(
        "the spread of one value is no null", "finished",
        '(1, f"(cast({n} as double) * ({n} - 1))") if known.sample',
        '(0, f"(cast({n} as double) * greatest({n} - 1, 1))") if known.sample',
        "0 for null", variants("variance of integers"),
    ),
    Mutation(
        "negative sums borrow from the count", "_Totals.sql",
        "({packed} + {_HALF}) >> {_SHIFT} as {name}", "({packed}) >> {_SHIFT} as {name}",
        "packed counts are one short", _OPEN,
    ),
    Mutation(
        "FILTER is forgotten in totals", "_Totals.value",
        'term = f"case when {condition} then {sql} end" if condition else sql', "term = sql",
        "every row counts", _LATE_FILTER,
    ),
    Mutation(
        "floats that spread too far stay in fixed point", "lower_cumulative",
        'f"case when u.fb_fits then {values[part]} else {piece.name}.{part} end"',
        'f"{values[part]}"',
        "the fallback for wide floats is not read", HUGE,
    ),
    Mutation(
        "a row at t comes after t", "marked_place",
        'else f"s.{AXIS} * 2 + 1"', 'else f"s.{AXIS} * 2 - 1"',
        "<= becomes <",
        edges("a_window[exact->-inclusive]"),
    ),
    Mutation(
        "a row leaves after its edge", "marked_place",
        'return f"(s.{AXIS} - {shift}) * 2 + 1" if shift', 'return f"(s.{AXIS} - {shift}) * 2 - 1" if shift',
        "<= becomes < at the far edge",
        edges("a_window[exact->-inclusive]"),
    ),
    Mutation(
        "every float fits fixed point", "units_sql",
        ">= 31, true)", ">= -5000, true)",
        "cents beside 1e17 are rounded away",
        edges("floats_that_are_far_too_large_leave_again"),
    ),
    Mutation(
        "infinities fit fixed point", "units_sql",
        "{name}_odd = 0 and ", "",
        "an infinity or NaN spoils its key for ever", holes("a_float_that_is_not_finite_leaves_again"),
    ),
    Mutation(
        "markers are counted as rows", "_half",
        "fb_n - row_number() over () as fb_n", "fb_n as fb_n",
        "the spine's own rows are counted", _OPEN,
    ),
    Mutation(
        "wide integers are packed", "declared_type",
        "return ExactType(64)", "return ExactType(32)",
        "squares of wide numbers overflow", holes("the_widest_integers"),
    ),
    Mutation(
        "decimals add like integers", "_both",
        "or right is None or left.decimal or right.decimal:", "or right is None:",
        "the scale of a decimal sum is lost", holes("sums_of_decimal_expressions"),
    ),
    Mutation(
        "decimals of any width are packed", "ExactType.small",
        "0 < self.digits <= 15", "0 < self.digits <= 27",
        "sums above 2^89 run into the count", holes("the_widest_decimals"),
    ),
    Mutation(
        "a frame includes its edge", "_one_axis",
        "else str(width - 1)", "else str(width)",
        "RANGE includes its edge: > becomes >=",
        edges("a_window[extremes->-inclusive]"),
    ),
    Mutation(
        "a frame holds spine rows", "_one_axis",
        'where = f"{ROW} is null"', 'where = "true"',
        "spine rows are counted as events", _OPEN,
    ),
    Mutation(
        "frames serve rows that live unequally", "lowers_by_frames",
        "if not part.window.never_ends and (part.window.width or 0) <= 0:", "if False:",
        "a wrong validity: rows that end never leave the frame",
        edges("a_window_that_ends_by_another_time"),
    ),
    Mutation(
        "a stab joins a row at its end", "alive",
        "and s.{AXIS} < r.{end}", "and s.{AXIS} <= r.{end}",
        "t < end becomes <=", _OPEN,
    ),
    Mutation(
        "a stab misses a row at its start", "alive",
        'text = f"r.{start} <= s.{AXIS}"', 'text = f"r.{start} < s.{AXIS}"',
        "start <= t becomes <",
        edges("a_window[exact->-inclusive]"),
    ),
    Mutation(
        "a stab forgets an aggregate's own window", "lower_stab",
        "if part.window != scope.form.window:", "if False:",
        "a predicate is dropped", variants("distinct over a window"),
    ),
    Mutation(
        "two rows of an entity pass", "one_row_guard",
        "count(*){over} > 1 then", "count(*){over} > 2 then",
        "a fan-out is hidden", holes("a_second_row_of_an_entity_is_an_error"),
    ),
    Mutation(
        "a step outlives its end", "lower_steps",
        'f" where s.{AXIS} < w.{end}" if end', 'f" where {end == end}" if end',
        "the row that started last answers for ever", algebra("the latest row in a window"),
    ),
    Mutation(
        "a step answers at its end", "lower_steps",
        "where s.{AXIS} < w.{end}", "where s.{AXIS} <= w.{end}",
        "t < end becomes <=",
        edges("one_row_at_a_time"),
    ),
    Mutation(
        "the latest row is seen an instant late", "nearest",
        "and s.{AXIS} >= w.{start}", "and s.{AXIS} > w.{start}",
        ">= becomes >", (*_HISTORY, *algebra("the latest row by QUALIFY")),
    ),
    Mutation(
        "a late row displaces a newer one", "lower_late",
        "qualify fb_rank = min(fb_rank) over (", "qualify true or fb_rank = min(fb_rank) over (",
        "the newest arrival is taken for the newest event", _HISTORY,
    ),
    Mutation(
        "two rows that tie both answer", "_matched_sql",
        "fb_place_before = fb_place{alike} then 1 else 0 end",
        "fb_place_before = fb_place{alike} then 0 else 0 end",
        "the spine fans out where two rows start at once",
        edges("a_history"),
    ),
    Mutation(
        "rows that tie answer nothing", "_fetched",
        "qualify {rank} = 1", "qualify {rank} = 1 and false",
        "where rows tie none answers",
        edges("a_history"),
        count=2,
    ),
    Mutation(
        "a row at t is in the tile after t", "tiles",
        "* 2 as fb_at", "* 2 + 2 as fb_at",
        "<= becomes <", edges("a_history"),
    ),
    Mutation(
        "a marker sees its own tile alone", "SO_FAR",
        "range between unbounded preceding", "range between 0 preceding",
        "earlier tiles are forgotten", edges("a_history"),
    ),
    Mutation(
        "a running total has no earlier tiles", "TiledPasses._tiled",
        "sum(t.{c}) {SO_FAR} as {c}", "t.{c} as {c}",
        "earlier tiles are forgotten", edges("a_window[exact->-inclusive]"),
    ),
    Mutation(
        "the latest row at t comes after t", "_axis_sql",
        "s.{AXIS} * 2 + 1, s.{ROW}", "s.{AXIS} * 2 - 1, s.{ROW}",
        "<= becomes <", edges("a_history"),
    ),
    Mutation(
        "the row before the last answers", "followed",
        "order by fb_key, fb_place, fb_mark", "order by fb_key, fb_place desc, fb_mark",
        "the pass runs from late to early", edges("a_history"),
    ),
    Mutation(
        "another key's start matches ahead of its time", "_matched_sql",
        "case when fb_last{n} <= fb_place then fb_last{n} end", "fb_last{n}",
        "a start is fetched that the instant of its spine row has not reached", _TOGETHER,
    ),
    Mutation(
        "a key's first match is fetched for the key before it only", "_matched_sql",
        "lag(fb_key) over () <> fb_key or lag", "lag",
        "a start that two keys share is fetched for one of them", _TOGETHER,
    ),
    Mutation(
        "histories read each other's matches", "lower_in_order",
        "{matched}.fb_matched{place} =", "{matched}.fb_matched0 =",
        "a row is fetched that starts with another history's", _TOGETHER,
    ),
    Mutation(
        "the first visible wins a tie", "ranking",
        '[f"{start} desc"]', '[f"{start} asc"]',
        "ties go to the first visible, not to the last", TIES,
    ),
    Mutation(
        "null wins a tie", "ranking",
        """before = [f"{duckdb_sql(over_rows(n))} desc nulls last" for n in first]""",
        """before = [f"{duckdb_sql(over_rows(n))} desc nulls first" for n in first]""",
        "null is the greatest of tie_break", TIES,
    ),
    Mutation(
        "latest serves rows that leave", "lowers_to_latest",
        "if not form.window.never_ends:", "if False:",
        "a wrong validity", variants("history in a window"),
    ),
    Mutation(
        "a group without members exists", "lower_aggregates",
        'f"coalesce({MEMBERS}, 0) > 0"', 'f"coalesce({MEMBERS}, 0) >= 0"',
        "the has-members check is dropped: 0 for null", _OPEN,
    ),
    Mutation(
        "HAVING is forgotten", "lower_aggregates",
        "if scope.form.having is not None:", "if False:",
        "a predicate is dropped", variants("HAVING"),
    ),
    Mutation(
        "the count of nothing is null", "lower_aggregates",
        "    if always:\n", "    if False:\n",
        "null for 0 without GROUP BY",
        edges("a_group_that_always_exists"),
    ),
    Mutation(
        "steps serve rows that overlap", "_choose_for_rows",
        'if draft.form.unique and forced != "stab":', 'if forced != "stab":',
        "a wrong validity: nothing proves one row per entity",
        holes("a_second_row_of_an_entity_is_an_error"),
    ),
    Mutation(
        "frames serve everything", "_why_not",
        "return lowers_by_frames(part)", "return None",
        "a wrong validity", variants("distinct over a window", "late floats and extremes"),
    ),
    Mutation(
        "a lag looks ahead", "join_spine",
        "({asked}) - {behind}\"", "({asked}) + {behind}\"",
        "a wrong sign: what was known later", variants("read-time parts with a lag"),
    ),
    Mutation(
        "a lag is forgotten", "join_spine",
        "({asked}) - {behind}\"", "({asked})\"",
        "features as fresh as never served", variants("a history with a lag"),
    ),
    Mutation(
        "an entity without a row has read-time features", "_output",
        'tests = [] if feature.expression is None else [f"not {view}.{found} is null"]',
        "tests: list[str] = []",
        "coalesce and request() give values where nothing is known",
        variants("read-time parts over aggregates"),
    ),
    Mutation(
        "an expression of the clock is stored", "_reads_later",
        "return any(is_clock(n) or is_variable(n) for n in _outside_aggregates(node))",
        "return any(is_variable(n) for n in _outside_aggregates(node))",
        "ages are computed at t - lag, not when asked", variants("read-time parts with a lag"),
    ),
    Mutation(
        "ttl excludes its edge", "fresh_enough",
        "- {since} <= {ttl}", "- {since} < {ttl}",
        "<= becomes <", (*variants("history with tie_break and ttl"), *DRAWN),
    ),
    Mutation(
        "ttl counts milliseconds", "fresh_enough",
        "microseconds(view.ttl)", "microseconds(view.ttl) // 1000",
        "a wrong scale", variants("history with tie_break and ttl"),
    ),
    Mutation(
        "the unknown bound of a FILTER counts", "condition_of",
        "exp.Null())) for t in beyond", "exp.Null())) for t in beyond[:0]",
        "a row whose time is null counts in an aggregate",
        variants("a window on a time that may be null"),
    ),
)  # fmt: skip
