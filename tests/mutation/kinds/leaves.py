"""Visibility of leaf rows, the microsecond axis and the clock."""

from __future__ import annotations

from tests.mutation.mutation import Mutation, algebra, edges, forms, holes, variants

_LATE = variants("late rows, some later than the window")
_SCD2 = variants("slowly changing versions")
_KEPT = variants("slowly changing versions, closed ones kept")

_INFINITE = ("tests/feature_specs/test_infinite_instants.py",)
_ROUND_TRIP = ("tests/feature_specs/test_round_trip.py",)
_ENDS = ("tests/feature_specs/test_inclusive_ends.py",)
_TEXT = ("tests/feature_specs/test_author_text.py",)

LEAVES = (
    Mutation(
        "infinite instants have no place", "us_sql",
        '_moved(f"coalesce(epoch_us({text}), {ends})", offset)', '_moved(f"epoch_us({text})", offset)',
        "a version that has always been is never seen", _INFINITE,
    ),
    Mutation(
        "what never comes has always been", "us_sql",
        "when 'infinity' then {NEVER} when '-infinity'", "when 'infinity' then {ALWAYS} when '-infinity'",
        "a row at infinity is seen at once", (*_INFINITE, *forms("late rows, some later than the window")),
    ),
    Mutation(
        "a unit is taken as SQLGlot left it", "_name_unit",
        "interval.set(", "interval.copy().set(",
        "30 mins are 30 seconds", _TEXT,
    ),
    Mutation(
        "more than an amount of time", "refuse_misread",
        'if word == "interval" and _UNREAD.match(token.text):', "if False:",
        "7 days ago are 7 days", _TEXT,
    ),
    Mutation(
        "not is written loosely", "_LEVELS",
        "exp.Not: 30,", "exp.Not: 160,",
        "`a not in (b) < c` is read as `not (a in (b) < c)`", _ROUND_TRIP,
    ),
    Mutation(
        "a JSON key is a path", "_DuckDB.to_json_path",
        "return path", "return super().to_json_path(path)",
        "`j ->> 'a.b'` reads b of a", _ROUND_TRIP,
    ),
    Mutation(
        "a typed literal that is cast", "refuse_misread",
        "if name is not None:", "if False:",
        "`timestamptz '...'::date` is cast in the other order", _ROUND_TRIP,
    ),
    Mutation(
        "the most frequent in any order", "_Completion._mode",
        "_extend(node.this, [node.this.this])",
        'node.set("this", _with_order(node.this.this, [_ordered(node.this.this)]))',
        "mode() forgets the order of the author", _TEXT,
    ),
    Mutation(
        "integers divide as doubles everywhere", "write_as_duckdb",
        "    mark_typed_divisions(query)\n", "",
        "7 / 2 is 3.5 to an author of Trino", _TEXT,
    ),
    Mutation(
        "the age of a wall clock's rows", "form_intervals",
        "    _check_ttl(draft)\n", "",
        "a row of Tokyo is nine hours younger than it is", _TEXT,
    ),
    Mutation(
        "cut forgets the arrival", "visible_at",
        'if leaf.loaded_at is not None and leaf.visibility != "event":\n            predicates',
        "if False:\n            predicates",
        "the cut query sees rows that had not arrived", _LATE,
    ),
    Mutation(
        "cut at an event_time of now", "visible_at",
        'order = exp.LT if draft.view.boundary == "exclusive" else exp.LTE', "order = exp.LT",
        "<= becomes <", variants("lifetime"),
    ),
    Mutation(
        "cut knows no exclusive boundary", "visible_at",
        'order = exp.LT if draft.view.boundary == "exclusive" else exp.LTE', "order = exp.LTE",
        "< becomes <= under boundary: exclusive", variants("exclusive boundary"),
    ),
    Mutation(
        "cut keeps closed versions", "visible_at",
        'if leaf.visibility != "history":', "if False:",
        "a closed version stays visible", _SCD2,
    ),
    Mutation(
        "cut closes a version one instant late", "visible_at",
        "exp.LT(this=instant.copy(), expression=end.copy())",
        "exp.LTE(this=instant.copy(), expression=end.copy())",
        "t < valid_to becomes <=", _SCD2,
    ),
    Mutation(
        "cut keeps versions of no length", "visible_at",
        "exp.LT(this=start.copy(), expression=end.copy())",
        "exp.LTE(this=start.copy(), expression=end.copy())",
        "valid_from = valid_to is visible under visibility: history",
        holes("a_version_of_no_length_is_never_seen"),
    ),
    Mutation(
        "an inclusive end is exclusive", "valid_to_of",
        "unit = _after_last(leaf) if inclusive else None", "unit = None",
        "a version is gone at its last instant", _ENDS,
    ),
    Mutation(
        "a last day is over when the next version is not seen yet", "_after_last",
        'moved = leaf.date_visible == "end" and not _is_date(leaf, leaf.valid_from)',
        'moved = leaf.date_visible == "end"',
        "between two versions there is a day without one", _ENDS,
    ),
    Mutation(
        "an inclusive end of nanoseconds rounds up", "valid_to_of",
        'nanoseconds="down" if inclusive else "up"', 'nanoseconds="up"',
        "two versions are in force for a microsecond", _ENDS,
    ),
    Mutation(
        "cut masks for an instant too long", "masked",
        "seen = exp.LTE(this=known, expression=instant.copy())",
        "seen = exp.LT(this=known, expression=instant.copy())",
        "a value known at t reads as null at t", variants("a column known later"),
    ),
    Mutation(
        "cut shows what is known later", "masked",
        "elif column in leaf.known_later:", "elif False:",
        "a leak: columns known later are not masked", variants("a column known later"),
    ),
    Mutation(
        "cut keeps two changes of a key", "_latest_change",
        "forebay_change = 1", "forebay_change <= 2",
        "the change before the latest answers too", variants("a change log"),
    ),
    Mutation(
        "cut ignores deletes", "_latest_change",
        ".where(exp.Not(this=exp.Coalesce(this=deleted, expressions=[exp.false()])))",
        ".where(exp.Or(this=deleted, expression=exp.true()))",
        "a deleted key of a change log lives on", variants("a change log"),
    ),
    Mutation(
        "cut takes no word for a delete", "_latest_change",
        "expressions=[exp.false()]", "expressions=[exp.true()]",
        "a null in the deleted column deletes", variants("a change log"),
    ),
    Mutation(
        "cut takes the first change", "change_order",
        "order: list[exp.Expr] = [exp.column(leaf.event_time, quoted=True)]",
        "order: list[exp.Expr] = [exp.Neg(this=exp.Anonymous(this='epoch_us', "
        "expressions=[exp.column(leaf.event_time, quoted=True)]))]",
        "the earliest change of a key answers, not the latest", variants("a change log"),
    ),
    Mutation(
        "a day is seen at its start", "instant_of",
        'days = 0 if leaf.date_visible == "start" else 1', "days = 0",
        "a date counts a day early", variants("a date"),
    ),
    Mutation(
        "a naive time is UTC", "_at_zone",
        "exp.Literal.string(str(leaf.timezone))", 'exp.Literal.string("UTC")',
        "the leaf's zone is forgotten", variants("a naive timestamp of New York"),
    ),
    Mutation(
        "nanoseconds round down", "_whole_us",
        "exp.GT(this=rest, expression=zero)", "exp.GT(this=rest, expression=thousand)",
        "a row is seen up to a microsecond early", holes("nanoseconds_round_up_on_a_leaf"),
    ),
    Mutation(
        "an instant of the spine rounds to the nearest", "instant_sql",
        "- cast({fine} % 1000 < 0 as bigint)", "+ cast({fine} % 1000 >= 500 as bigint)",
        "a spine row sees up to half a microsecond ahead",
        ("tests/feature_specs/test_spine_types.py::test_an_instant",),
    ),
    Mutation(
        "text is taken for a number", "key_tests",
        "case when {wrong} then", "case when false then",
        "'03' and 3 are one key", ("tests/feature_specs/test_spine_types.py::test_a_key_of_other_values_is_refused",),
    ),
    Mutation(
        "a week has six days", "_UNITS",
        '"WEEK": 604_800_000_000', '"WEEK": 518_400_000_000',
        "a wrong unit", holes("each_unit_of_a_window_has_its_length"),
    ),
    Mutation(
        "milliseconds of a constructor are microseconds", "_CONSTRUCTORS",
        '"to_milliseconds": 1_000,', '"to_milliseconds": 1,',
        "a wrong scale", holes("each_unit_of_a_window_has_its_length"),
    ),
    Mutation(
        "a negative interval loses its sign", "_scaled",
        "sign = -sign if isinstance(count, exp.Neg) else sign", "sign = 1",
        "now() + interval '-1' hour reaches ahead", holes("each_unit_of_a_window_has_its_length"),
    ),
    Mutation(
        "a row starts at its earliest time", "latest_sql",
        'return _of(terms, "greatest")', 'return _of(terms, "least")',
        "greatest and least swapped", forms("late rows, some later than the window"),
    ),
    Mutation(
        "a row ends at its last time", "earliest_sql",
        'return _of(terms, "least")', 'return _of(terms, "greatest")',
        "least and greatest swapped", algebra("inner join with the version of now"),
    ),
    Mutation(
        "an exclusive boundary moves nothing", "event_offset",
        'return 1 if draft.view.boundary == "exclusive" else 0', "return 0",
        "off by one microsecond", edges("a_window[exact->-exclusive]"),
    ),
    Mutation(
        "rows without a time live", "null_tests",
        "return [f\"not {duckdb_sql(instant)} is null\" for instant in instants]",
        "return [] if instants else []",
        "greatest() skips the null of a row that never arrived", (*edges("a_window[late exact->-inclusive]"), *forms("late rows, some later than the window")),
    ),
    Mutation(
        "a row leaves a window late", "clip_clock",
        "return Window(ends=(Term(left.instant, reach),))",
        "return Window(ends=(Term(left.instant, reach + 1),))",
        "> becomes >=", variants("window open at its far edge"),
    ),
    Mutation(
        "a row leaves a window early", "clip_clock",
        "return Window(ends=(Term(left.instant, reach + 1),))",
        "return Window(ends=(Term(left.instant, reach),))",
        ">= becomes >", variants("window closed at its far edge"),
    ),
    Mutation(
        "a delayed row comes late", "clip_clock",
        "return Window(starts=(Term(left.instant, reach),))",
        "return Window(starts=(Term(left.instant, reach + 1),))",
        "<= becomes <", variants("a window that ended a while ago"),
    ),
    Mutation(
        "a delayed row comes early", "clip_clock",
        "return Window(starts=(Term(left.instant, reach + 1),))",
        "return Window(starts=(Term(left.instant, reach),))",
        "< becomes <=", variants("windows in FILTER that ended a while ago"),
    ),
    Mutation(
        "a mirrored comparison is not mirrored", "clip_clock",
        "    if left.instant is None:\n        left, right, kind = right, left, MIRRORED[kind]",
        "    if left.instant is None:\n        left, right = right, left",
        "now() - w < ts reads as ts < now() - w", variants("window written the other way round"),
    ),
    Mutation(
        "an offset loses its sign", "_linear",
        "sign = 1 if isinstance(node, exp.Add) else -1", "sign = 1",
        "now() - w reads as now() + w", variants("window open at its far edge"),
    ),
    Mutation(
        "lifetimes forget the arrival", "leaf_window",
        'if leaf.loaded_at is not None and leaf.visibility != "event":', "if False:",
        "late rows count from their event_time", forms("late rows, some later than the window"),
    ),
    Mutation(
        "versions never close", "leaf_window",
        'return Window((start,), (Term(or_never(end), on_axis=True),))', "return Window((start,))",
        "valid_to is forgotten", _SCD2,
    ),
    Mutation(
        "kept versions close", "leaf_window",
        'if leaf.valid_to is None or leaf.visibility == "history":', "if leaf.valid_to is None:",
        "visibility: history is forgotten", _KEPT,
    ),
    Mutation(
        "lifetimes of versions that end first", "row_tests",
        "lives = exp.LT(this=start, expression=end)", "lives = exp.LTE(this=start, expression=end)",
        "valid_from = valid_to lives under visibility: history",
        holes("a_version_of_no_length_is_never_seen"),
    ),
    Mutation(
        "a value shows before it is known", "derive_pieces",
        "split.append((window.clip(Window(starts=(at,))), items))", "split.append((window, items))",
        "a leak: the later piece of a row starts with the row", forms("a column known later"),
    ),
    Mutation(
        "a value never becomes known", "derive_pieces",
        "split.append((window.clip(Window(starts=(at,))), items))", "pass",
        "the later piece of a row is lost", variants("a column known later"),
    ),
    Mutation(
        "a kept version shows its end early", "splits_of",
        'if column == leaf.valid_to and leaf.visibility == "history":', "if False:",
        "a leak: valid_to is not masked", forms("slowly changing versions, closed ones kept"),
    ),
    Mutation(
        "an open version shows its end", "never_seen",
        'return column == leaf.valid_to and leaf.visibility != "history"', "return False",
        "a leak: when the open version will close", forms("slowly changing versions"),
    ),
    Mutation(
        "a winner outlives the next", "winners_sql",
        "lead({START}, 1, {NEVER}) over", "lead({START}, 2, {NEVER}) over",
        "two changes of a key live at once", variants("a change log"),
    ),
    Mutation(
        "a change that came too late wins", "winners_sql",
        "qualify fb_rank = min(fb_rank) over", "qualify true or fb_rank = min(fb_rank) over",
        "a late row displaces a greater one", algebra("the latest row of late ones, by a subquery's rank"),
    ),
    Mutation(
        "lifetimes take no word for a delete", "derive_changelog",
        "{quoted(leaf.changelog.deleted)}, false)", "{quoted(leaf.changelog.deleted)}, true)",
        "a null in the deleted column deletes", variants("a change log"),
    ),
)  # fmt: skip
