"""Joins, sets, ranks, nested groups and subqueries over rows with lifetimes."""

from __future__ import annotations

from tests.mutation.mutation import TIES, Mutation, algebra, edges, forms, holes, variants

_OUTER = algebra("left join of two streams, floats and extremes")

ALGEBRA = (
    Mutation(
        "a lag by less than nothing looks back", "intervals/rank_rows",
        "if offset is not None and not (isinstance(offset, exp.Literal) and offset.is_int):", "if False:",
        "the next row's value is known at once",
        algebra("a lag that looks ahead, by a number and by a column"),
    ),
    Mutation(
        "an as-of join ties by what is read", "intervals/read_from",
        "columns = join.this.this.named_selects if right_node is not join.this else ()", "columns = ()",
        "another of the tied rows than as_of takes", TIES,
    ),
    Mutation(
        "rows that unnest are one", "intervals/weave_query",
        "if unique is None or any(node.find(exp.UDTF, exp.Explode) for node in plain.items.values()):",
        "if unique is None:",
        "several rows of one entity are served without an error", holes("rows_that_unnest_are_several"),
    ),
    Mutation(
        "a clock in WHERE settles ties", "form_intervals",
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
        "an unmatched side computes beside its key", "merge_queries",
        "guarded = exp.Case().when(present, value.copy())", "guarded = value.copy()",
        "coalesce() of a subquery stands where an outer join found no row",
        ("tests/feature_specs/test_outer_joins.py",),
    ),
    Mutation(
        "numbers are what SQLGlot takes them to be", "form_intervals",
        "    settle_numbers(tree)\n", "",
        "decimals are added up without their digits", ("tests/feature_specs/test_number_types.py",),
    ),
    Mutation(
        "who became visible last is forgotten", "note_visibility",
        "return replace(draft, stored=stored) if noted else draft", "return draft",
        "ties go to the greatest values", TIES,
    ),
    Mutation(
        "a row is visible anew when it changes", "form_intervals",
        "return (Term(form.event_time),)", "return form.window.starts",
        "ties go to the row of which something became known last", TIES,
    ),
    Mutation(
        "a compiled name stands for two columns", "name_sources_apart",
        "return not longer and not any(e", "return not any(e",
        "a column of one table is read for another's",
        ("tests/feature_specs/test_names_met.py",),
    ),
    Mutation(
        "EXCEPT takes the type of its own side", "form_intervals",
        "    _check_sides(tree)\n", "",
        "5 stays an integer where 2.5 makes it a decimal",
        ("tests/feature_specs/test_number_types.py",),
    ),
    Mutation(
        "a spine's types are checked for one history", "join_spine",
        "for joined in group for test in key_tests", "for joined in group[:1] for test in key_tests",
        "text meets numbers in the histories after it",
        ("tests/feature_specs/test_histories_together.py",),
    ),
    Mutation(
        "the third side of a union says nothing", "note_visibility",
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
        "pairs that never live", "intervals/match_rows",
        "as paired where {START} < {END}", "as paired where true",
        "matches that never meet split the gaps", edges("a_match_that_comes_after_its_window"),
    ),
    Mutation(
        "no gap after the last match", "intervals/match_rows",
        'f"union all select {ROW_ID}, {END}, {END} from {left}"', '""',
        "a left row is gone once its matches are", algebra("left join with the clock in ON"),
    ),
    Mutation(
        "no gap before the first match", "intervals/match_rows",
        'f"union all select {ROW_ID}, {START}, {START} from {left} "', '""',
        "a left row waits for its first match", _OUTER,
    ),
    Mutation(
        "gaps look at the last match only", "intervals/match_rows",
        "max({END}) over (partition by {ROW_ID} order",
        "last_value({END}) over (partition by {ROW_ID} order",
        "a long match is forgotten when a short one ends",
        edges("gaps_between_a_long_match_and_short_ones"),
    ),
    Mutation(
        "islands are never joined", "intervals/match_rows",
        "then 0 else 1 end as fb_fresh", "then 1 else 1 end as fb_fresh",
        "DISTINCT keeps duplicates that overlap", edges("lives_of_equal_values_overlap"),
    ),
    Mutation(
        "islands end with their first row", "intervals/match_rows",
        "max({END}) as {END} ", "min({END}) as {END} ",
        "a value is gone though a row still holds it", algebra("DISTINCT"),
    ),
    Mutation(
        "a pair outlives its right row", "intervals/join_rows",
        '(_axis("l", END), _axis("r", END))', '(_axis("l", END),)',
        "the match is not intersected", algebra("left join of two aggregates"),
    ),
    Mutation(
        "an outer join is an inner one", "intervals/join_rows",
        '_go_on(block, pairs, f"{pairs.alive_sql(pairs.name)} union all {pairs.unmatched_sql()}")',
        "_go_on(block, pairs, pairs.alive_sql(pairs.name))",
        "left rows without a match are lost", _OUTER,
    ),
    Mutation(
        "an as-of join takes the first", "intervals/join_rows",
        "{'desc' if descending else 'asc'} nulls last", "asc nulls last",
        "the farthest match, not the nearest", algebra("last join by ASOF"),
    ),
    Mutation(
        "an empty correlated group counts one", "intervals/join_rows",
        "{'null, ' * len(columns)}false,", "{'null, ' * len(columns)}true,",
        "the left row's own stand-in is counted", algebra("scalar subqueries"),
    ),
    Mutation(
        "the clock in ON is forgotten", "intervals/join_rows",
        "life = life.clip(clip)", "life = life.clip(Window())",
        "an edge of the match is not crossed", algebra("left join with the clock in ON"),
    ),
    Mutation(
        "any match is the only one", "intervals/join_rows",
        "return right.unique <= fixed", "return True",
        "a join is taken to give one row where it may give two",
        holes("a_second_row_of_an_entity_is_an_error"),
    ),
    Mutation(
        "a false comparison holds for ever", "intervals/split_clock",
        "window.clip(Window(atom.ends, atom.starts))", "window",
        "both branches of a CASE live at once", algebra("CASE on the clock"),
    ),
    Mutation(
        "a comparison with null loses the row", "intervals/split_clock",
        "    if tests:\n        yield (", "    if False:\n        yield (",
        "the piece in which the test is unknown is missing",
        holes("a_comparison_with_a_null_time_keeps_its_row"),
    ),
    Mutation(
        "a group ignores rows that end", "intervals/step_groups",
        "for c in rows.ends if c is not None]", "for c in rows.ends[:0] if c is not None]",
        "an edge is not crossed: windows of nested groups never shrink",
        algebra("an aggregate of an aggregate"),
    ),
    Mutation(
        "an empty group waits for a row", "intervals/step_groups",
        'edges.append(f"select cast(1 as bigint), {ALWAYS}")', "pass",
        "an aggregate without GROUP BY has no row at first",
        edges("a_group_that_always_exists"),
    ),
    Mutation(
        "a group's value lasts for two steps", "intervals/step_groups",
        "lead({AXIS}, 1, {NEVER})", "lead({AXIS}, 2, {NEVER})",
        "a group has two rows at once", algebra("an aggregate of an aggregate"),
    ),
    Mutation(
        "no GROUP BY means no rows, no row", "intervals/step_groups",
        "always=not keys", "always=False",
        "the has-members check stands where a row is always given",
        algebra("an aggregate without GROUP BY"),
    ),
    Mutation(
        "UNION keeps duplicates", "intervals/weave_query",
        'distinct = bool(query.args.get("distinct"))',
        'distinct = bool(query.args.get("distinct")) and not isinstance(query, exp.Union)',
        "UNION is UNION ALL", edges("lives_of_equal_values_overlap"),
    ),
    Mutation(
        "a union lasts where one side does", "intervals/weave_query",
        "lasting = left.lasting and right.lasting", "lasting = left.lasting or right.lasting",
        "rows of the other side never end",
        holes("a_union_of_rows_that_last_and_rows_that_leave"),
    ),
    Mutation(
        "EXCEPT and INTERSECT swapped", "intervals/weave_query",
        "negated=isinstance(query, exp.Except)", "negated=isinstance(query, exp.Intersect)",
        "the difference is the intersection", algebra("EXCEPT and INTERSECT"),
    ),
    Mutation(
        "nulls are unlike in EXCEPT", "intervals/weave_query",
        "exp.NullSafeEQ(", "exp.EQ(",
        "rows with a null are never taken away", algebra("EXCEPT and INTERSECT"),
    ),
    Mutation(
        "a nested HAVING is forgotten", "intervals/weave_query",
        'tree.set("where", exp.Where(this=grouped.having.copy()))', "pass",
        "groups that fail HAVING stay", algebra("HAVING on the clock"),
    ),
    Mutation(
        "FILTER with the clock is forgotten", "intervals/gather_aggregates",
        "window = window.clip(clip)", "window = self.window",
        "every aggregate has the view's own window",
        variants("windows in FILTER within a window in WHERE"),
    ),
    Mutation(
        "FILTER without the clock is forgotten", "intervals/gather_aggregates",
        "exp.and_(*plain) if plain else None", "None",
        "every row counts", variants("late rows in FILTER"),
    ),
    Mutation(
        "the latest row never leaves", "intervals/rank_rows",
        "least({END}, {until}) as {END}", "{until} as {END}",
        "a row lives on behind the window's edge", algebra("the latest row in a window"),
    ),
    Mutation(
        "the last n rows are the last", "intervals/rank_rows",
        "lead({START}, {kept.count}, {NEVER})", "lead({START}, 1, {NEVER})",
        "off by some rows", algebra("the last three rows"),
    ),
    Mutation(
        "fewer than n includes n", "intervals/rank_rows",
        "- (1 if isinstance(test, exp.LT) else 0)", "- 0",
        "< becomes <= in QUALIFY", holes("fewer_than_three_of_the_last_rows"),
    ),
    Mutation(
        "a falling order is settled", "intervals/rank_rows",
        'if order.expressions[0].args.get("desc"):\n        return False',
        'if order.expressions[0].args.get("desc"):\n        pass',
        "a leak: ranks from the end are taken as known at the start",
        holes("a_rank_from_the_end_changes_with_each_row"),
    ),
    Mutation(
        "what comes after is settled", "intervals/rank_rows",
        "(exp.Lead, exp.Ntile, exp.PercentRank, exp.CumeDist)", "(exp.Ntile,)",
        "a leak: lead() looks at rows that have not started",
        holes("what_follows_a_row_is_not_known_at_its_start"),
    ),
    Mutation(
        "a frame that looks ahead is settled", "intervals/rank_rows",
        'return end == "CURRENT ROW" or str(spec.args.get("end_side")).upper() == "PRECEDING"',
        "return bool(end)",
        "a leak: rows between ... and 1 following",
        forms("a frame ahead"),
    ),
    Mutation(
        "a row ranks at its own end", "intervals/rank_rows",
        "and g.fb_from < r.{END}) ", "and g.fb_from <= r.{END}) ",
        "< becomes <=", algebra("ranks and leads over rows that leave"),
    ),
    Mutation(
        "the first row is the latest", "intervals/rank_rows",
        'return bool(order[0].args.get("desc")) and order[0].this == block.appended',
        "return bool(order[0].this == block.appended)",
        "the earliest row gives way to the next", edges("first_and_last_rows_in_a_window"),
    ),
    Mutation(
        "other conditions on ranked rows are forgotten", "push_ranks",
        'kept = [t for t in conjuncts(select.args["where"]) if t is not test]',
        "kept = list[exp.Expr]()",
        "where n = 1 and x > 0 keeps n = 1", holes("conditions_beside_a_rank_stay"),
    ),
    Mutation(
        "ties stay open", "order_totally",
        "_extend(order, self._columns())", "assert order",
        "which of two tied rows answers is left to the engine",
        holes("tied_rows_are_ranked_by_their_values"),
    ),
    Mutation(
        "arg_max takes any of its peers", "order_totally",
        'node.set("expression", exp.case().when(known, pair))', "assert known is not pair",
        "which of the peers answers is left to the engine",
        holes("arg_max_takes_the_greatest_of_its_peers"),
    ),
    Mutation(
        "late rows start in order", "intervals/read_from",
        "if first and len(window.starts) == 1 and window.lasting:",
        "if first and window.lasting:",
        "the newest arrival is taken for the newest event",
        edges("ranks_of_late_rows_read_twice"),
    ),
    Mutation(
        "a join lives as long as its last leaf", "intervals/read_from",
        "block.window = block.window.clip(window)", "block.window = window",
        "the lives of joined rows are not intersected",
        algebra("inner join with the version of now", "dates and naive times"),
    ),
    Mutation(
        "a left join with a static leaf is inner", "intervals/read_from",
        'exp.Join(this=table, side="LEFT"', 'exp.Join(this=table, kind="INNER"',
        "rows of unknown keys are lost", variants("left join with a static leaf"),
    ),
    Mutation(
        "NOT IN knows no nulls", "intervals/read_subqueries",
        "equal = exp.paren(exp.or_(equal, *unknown))", "assert unknown",
        "x not in (1, null) is true", algebra("NOT IN with nulls"),
    ),
    Mutation(
        "NOT is not heard", "intervals/read_subqueries",
        "return _membership(test.this, negated=not negated)",
        "return _membership(test.this, negated=negated)",
        "NOT EXISTS is EXISTS", algebra("NOT EXISTS"),
    ),
    Mutation(
        "LIMIT 1 takes the last", "intervals/read_subqueries",
        "ordered = exp.First(this=exp.Order(", "ordered = exp.Last(this=exp.Order(",
        "the order is turned", algebra("the last row of another stream, by LIMIT 1"),
    ),
    Mutation(
        "a subquery's own conditions are forgotten", "intervals/read_subqueries",
        "exp.Where(this=exp.and_(*(t.copy() for t in free))) if free else None)", "None)",
        "EXISTS matches rows that its WHERE refuses", edges("matches[exists for ever-inclusive]"),
    ),
    Mutation(
        "tie_break is forgotten", "lowerings/lower_latest",
        "[form.event_time, *form.tie_break]", "[form.event_time]",
        "ties go to the last visible", TIES,
    ),
)  # fmt: skip
