"""Joins, sets, ranks, nested groups and subqueries over rows with lifetimes."""

from __future__ import annotations

from tests.mutation.mutation import TIES, Mutation, algebra, edges, forms, holes, variants

_OUTER = algebra("left join of two streams, floats and extremes")

ALGEBRA = (
    Mutation(
        "a lag by less than nothing looks back", "_is_settled",
        "if offset is not None and not (isinstance(offset, exp.Literal) and offset.is_int):", "if False:",
        "the next row's value is known at once",
        algebra("a lag that looks ahead, by a number and by a column"),
    ),
    Mutation(
        "an as-of join ties by what is read", "_join",
        "columns = join.this.this.named_selects if right_node is not join.this else ()", "columns = ()",
        "another of the tied rows than as_of takes", TIES,
    ),
    Mutation(
        "rows that unnest are one", "unique_outputs",
        "if unique is None or any(node.find(exp.UDTF, exp.Explode) for node in row_query.items.values()):",
        "if unique is None:",
        "several rows of one entity are served without an error", holes("rows_that_unnest_are_several"),
    ),
    Mutation(
        "a clock in WHERE settles ties", "_rows_form",
        "return form if visible == form.window.starts else replace(form, visible=visible)",
        "return form",
        "rows that the clock lets in at once are taken for seen at once",
        ("tests/prove/test_fixtures.py::test_what_once_failed_agrees[aa99485f7d46]",),
    ),
    Mutation(
        "an unmatched side computes", "merge_queries",
        "query.set(_APART, exp.Into())", "pass",
        "a constant of a subquery stands where an outer join found no row",
        ("tests/feature_specs/test_outer_joins.py",),
    ),
    Mutation(
        "an unmatched side computes beside its key", "_null_where_unmatched",
        "guarded = exp.Case().when(present, value.copy())", "guarded = value.copy()",
        "coalesce() of a subquery stands where an outer join found no row",
        ("tests/feature_specs/test_outer_joins.py",),
    ),
    Mutation(
        "numbers are what SQLGlot takes them to be", "_typed",
        "    keep_certain_types(tree)\n", "",
        "decimals are added up without their digits", ("tests/feature_specs/test_number_types.py",),
    ),
    Mutation(
        "who became visible last is forgotten", "note_visibility",
        "return replace(draft, stored=stored) if noted else draft", "return draft",
        "ties go to the greatest values", TIES,
    ),
    Mutation(
        "a row is visible anew when it changes", "_visible",
        "return (Term(form.event_time),)", "return form.window.starts",
        "ties go to the row of which something became known last", TIES,
    ),
    Mutation(
        "a compiled name stands for two columns", "_tells_apart",
        "return not longer and not any(e", "return not any(e",
        "a column of one table is read for another's",
        ("tests/feature_specs/test_names_met.py",),
    ),
    Mutation(
        "EXCEPT takes the type of its own side", "_form",
        "    _check_sides(tree)\n", "",
        "5 stays an integer where 2.5 makes it a decimal",
        ("tests/feature_specs/test_number_types.py",),
    ),
    Mutation(
        "a spine's types are checked for one history", "_lowered",
        "for joined in group for test in key_tests", "for joined in group[:1] for test in key_tests",
        "text meets numbers in the histories after it",
        ("tests/feature_specs/test_histories_together.py",),
    ),
    Mutation(
        "the third side of a union says nothing", "_note_both",
        "noted = [_note(draft, side, named, done) for side in sides]",
        "noted = [isinstance(s, exp.Select) and _note(draft, s, named, done) for s in sides]",
        "ties of a union go to the greatest values", TIES,
    ),
    Mutation(
        "two tables share a name", "name_sources_apart",
        "if name not in seen and", "if",
        "a correlated condition compares a row with itself once subqueries are merged",
        algebra("one name for two tables", "one table under two models"),
    ),
    Mutation(
        "pairs that never live", "pairs_sql",
        "as paired where {START} < {END}", "as paired where true",
        "matches that never meet split the gaps", edges("a_match_that_comes_after_its_window"),
    ),
    Mutation(
        "no gap after the last match", "gaps_sql",
        'f"union all select {ROW_ID}, {END}, {END} from {left}"', '""',
        "a left row is gone once its matches are", algebra("left join with the clock in ON"),
    ),
    Mutation(
        "no gap before the first match", "gaps_sql",
        'f"union all select {ROW_ID}, {START}, {START} from {left} "', '""',
        "a left row waits for its first match", _OUTER,
    ),
    Mutation(
        "gaps look at the last match only", "gaps_sql",
        "max({END}) over (partition by {ROW_ID} order",
        "last_value({END}) over (partition by {ROW_ID} order",
        "a long match is forgotten when a short one ends",
        edges("gaps_between_a_long_match_and_short_ones"),
    ),
    Mutation(
        "islands are never joined", "islands_sql",
        "then 0 else 1 end as fb_fresh", "then 1 else 1 end as fb_fresh",
        "DISTINCT keeps duplicates that overlap", edges("lives_of_equal_values_overlap"),
    ),
    Mutation(
        "islands end with their first row", "islands_sql",
        "max({END}) as {END} ", "min({END}) as {END} ",
        "a value is gone though a row still holds it", algebra("DISTINCT"),
    ),
    Mutation(
        "a pair outlives its right row", "_Pairs.make",
        '(_axis("l", END), _axis("r", END))', '(_axis("l", END),)',
        "the match is not intersected", algebra("left join of two aggregates"),
    ),
    Mutation(
        "an outer join is an inner one", "outer_join",
        '_go_on(block, pairs, f"{pairs.alive_sql(pairs.name)} union all {pairs.unmatched_sql()}")',
        "_go_on(block, pairs, pairs.alive_sql(pairs.name))",
        "left rows without a match are lost", _OUTER,
    ),
    Mutation(
        "an as-of join takes the first", "asof_join",
        "{'desc' if descending else 'asc'} nulls last", "asc nulls last",
        "the farthest match, not the nearest", algebra("last join by ASOF"),
    ),
    Mutation(
        "an empty correlated group counts one", "correlated_aggregate",
        "{'null, ' * len(columns)}false,", "{'null, ' * len(columns)}true,",
        "the left row's own stand-in is counted", algebra("scalar subqueries"),
    ),
    Mutation(
        "the clock in ON is forgotten", "_Pairs.make",
        "life = life.clip(clip)", "life = life.clip(Window())",
        "an edge of the match is not crossed", algebra("left join with the clock in ON"),
    ),
    Mutation(
        "any match is the only one", "matches_at_most_once",
        "return right.unique <= fixed", "return True",
        "a join is taken to give one row where it may give two",
        holes("a_second_row_of_an_entity_is_an_error"),
    ),
    Mutation(
        "a false comparison holds for ever", "_cases",
        "window.clip(Window(atom.ends, atom.starts))", "window",
        "both branches of a CASE live at once", algebra("CASE on the clock"),
    ),
    Mutation(
        "a comparison with null loses the row", "_cases",
        "    if tests:\n        yield (", "    if False:\n        yield (",
        "the piece in which the test is unknown is missing",
        holes("a_comparison_with_a_null_time_keeps_its_row"),
    ),
    Mutation(
        "a group ignores rows that end", "step_groups",
        "for c in rows.ends if c is not None]", "for c in rows.ends[:0] if c is not None]",
        "an edge is not crossed: windows of nested groups never shrink",
        algebra("an aggregate of an aggregate"),
    ),
    Mutation(
        "an empty group waits for a row", "step_groups",
        'edges.append(f"select cast(1 as bigint), {ALWAYS}")', "pass",
        "an aggregate without GROUP BY has no row at first",
        edges("a_group_that_always_exists"),
    ),
    Mutation(
        "a group's value lasts for two steps", "step_groups",
        "lead({AXIS}, 1, {NEVER})", "lead({AXIS}, 2, {NEVER})",
        "a group has two rows at once", algebra("an aggregate of an aggregate"),
    ),
    Mutation(
        "no GROUP BY means no rows, no row", "step_groups",
        "always=not keys", "always=False",
        "the has-members check stands where a row is always given",
        algebra("an aggregate without GROUP BY"),
    ),
    Mutation(
        "UNION keeps duplicates", "_derive_set",
        'distinct = bool(query.args.get("distinct"))',
        'distinct = bool(query.args.get("distinct")) and not isinstance(query, exp.Union)',
        "UNION is UNION ALL", edges("lives_of_equal_values_overlap"),
    ),
    Mutation(
        "a union lasts where one side does", "_derive_set",
        "never_ends = left.never_ends and right.never_ends", "never_ends = left.never_ends or right.never_ends",
        "rows of the other side never end",
        holes("a_union_of_rows_that_last_and_rows_that_leave"),
    ),
    Mutation(
        "EXCEPT and INTERSECT swapped", "_overlap",
        "negated=isinstance(query, exp.Except)", "negated=isinstance(query, exp.Intersect)",
        "the difference is the intersection", algebra("EXCEPT and INTERSECT"),
    ),
    Mutation(
        "nulls are unlike in EXCEPT", "_overlap",
        "exp.NullSafeEQ(", "exp.EQ(",
        "rows with a null are never taken away", algebra("EXCEPT and INTERSECT"),
    ),
    Mutation(
        "a nested HAVING is forgotten", "_groups_as_block",
        'tree.set("where", exp.Where(this=grouped.having.copy()))', "pass",
        "groups that fail HAVING stay", algebra("HAVING on the clock"),
    ),
    Mutation(
        "FILTER with the clock is forgotten", "AggregateGatherer._aggregate_call",
        "window = window.clip(clip)", "window = self.window",
        "every aggregate has the view's own window",
        variants("windows in FILTER within a window in WHERE"),
    ),
    Mutation(
        "FILTER without the clock is forgotten", "AggregateGatherer._aggregate_call",
        "exp.and_(*plain) if plain else None", "None",
        "every row counts", variants("late rows in FILTER"),
    ),
    Mutation(
        "the latest row never leaves", "_keep_latest",
        "least({END}, {until}) as {END}", "{until} as {END}",
        "a row lives on behind the window's edge", algebra("the latest row in a window"),
    ),
    Mutation(
        "the last n rows are the last", "_keep_latest",
        "lead({START}, {kept.count}, {NEVER})", "lead({START}, 1, {NEVER})",
        "off by some rows", algebra("the last three rows"),
    ),
    Mutation(
        "fewer than n includes n", "_first_rows",
        "- (1 if isinstance(test, exp.LT) else 0)", "- 0",
        "< becomes <= in QUALIFY", holes("fewer_than_three_of_the_last_rows"),
    ),
    Mutation(
        "a falling order is settled", "_is_settled",
        'if order.expressions[0].args.get("desc"):\n        return False',
        'if order.expressions[0].args.get("desc"):\n        pass',
        "a leak: ranks from the end are taken as known at the start",
        holes("a_rank_from_the_end_changes_with_each_row"),
    ),
    Mutation(
        "what comes after is settled", "_is_settled",
        "(exp.Lead, exp.Ntile, exp.PercentRank, exp.CumeDist)", "(exp.Ntile,)",
        "a leak: lead() looks at rows that have not started",
        holes("what_follows_a_row_is_not_known_at_its_start"),
    ),
    Mutation(
        "a frame that looks ahead is settled", "_is_settled",
        'return end == "CURRENT ROW" or str(spec.args.get("end_side")).upper() == "PRECEDING"',
        "return bool(end)",
        "a leak: rows between ... and 1 following",
        forms("a frame ahead"),
    ),
    Mutation(
        "a row ranks at its own end", "_segments_sql",
        "and g.fb_from < r.{END}) ", "and g.fb_from <= r.{END}) ",
        "< becomes <=", algebra("ranks and leads over rows that leave"),
    ),
    Mutation(
        "the first row is the latest", "_follows",
        'return bool(order[0].args.get("desc")) and order[0].this == block.appended',
        "return bool(order[0].this == block.appended)",
        "the earliest row gives way to the next", edges("first_and_last_rows_in_a_window"),
    ),
    Mutation(
        "other conditions on ranked rows are forgotten", "_push",
        'kept = [t for t in conjuncts(select.args["where"]) if t is not test]',
        "kept = list[exp.Expr]()",
        "where n = 1 and x > 0 keeps n = 1", holes("conditions_beside_a_rank_stay"),
    ),
    Mutation(
        "ties stay open", "_Completion._window",
        "_extend(order, self._columns())", "assert order",
        "which of two tied rows answers is left to the engine",
        holes("tied_rows_are_ranked_by_their_values"),
    ),
    Mutation(
        "arg_max takes any of its peers", "_Completion._extreme",
        'node.set("expression", ranked)', "assert ranked is not pair",
        "which of the peers answers is left to the engine",
        holes("arg_max_takes_the_greatest_of_its_peers"),
    ),
    Mutation(
        "late rows start in order", "_add_leaf",
        "if first and len(window.starts) == 1 and window.never_ends:",
        "if first and window.never_ends:",
        "the newest arrival is taken for the newest event",
        edges("ranks_of_late_rows_read_twice"),
    ),
    Mutation(
        "a join lives as long as its last leaf", "_add_leaf",
        "block.window = block.window.clip(window)", "block.window = window",
        "the lives of joined rows are not intersected",
        algebra("inner join with the version of now", "dates and naive times"),
    ),
    Mutation(
        "a left join with a static leaf is inner", "_left",
        'exp.Join(this=table, side="LEFT"', 'exp.Join(this=table, kind="INNER"',
        "rows of unknown keys are lost", variants("left join with a static leaf"),
    ),
    Mutation(
        "NOT IN knows no nulls", "_matches",
        "equal = exp.paren(exp.or_(equal, *unknown))", "assert unknown",
        "x not in (1, null) is true", algebra("NOT IN with nulls"),
    ),
    Mutation(
        "NOT is not heard", "_membership",
        "return _membership(test.this, negated=not negated)",
        "return _membership(test.this, negated=negated)",
        "NOT EXISTS is EXISTS", algebra("NOT EXISTS"),
    ),
    Mutation(
        "LIMIT 1 takes the last", "_aggregate_of",
        "ordered = exp.First(this=exp.Order(", "ordered = exp.Last(this=exp.Order(",
        "the order is turned", algebra("the last row of another stream, by LIMIT 1"),
    ),
    Mutation(
        "a subquery's own conditions are forgotten", "_rows",
        "exp.Where(this=exp.and_(*(t.copy() for t in free))) if free else None)", "None)",
        "EXISTS matches rows that its WHERE refuses", edges("matches[exists for ever-inclusive]"),
    ),
    Mutation(
        "tie_break is forgotten", "ranking",
        "[form.event_time, *form.tie_break]", "[form.event_time]",
        "ties go to the last visible", TIES,
    ),
)  # fmt: skip
