"""As-of and incremental: what a step must notice."""

from __future__ import annotations

from tests.mutation.mutation import Mutation, hashes, step_holes, traced, variants

_INCREMENTAL = "incremental"

STATE = (
    Mutation(
        "a self-join is stepped by key", "touched_keys",
        "form is None or not form.simple or _reads_twice(form)", "form is None or not form.simple",
        "rows added meet each other only, not those that were there",
        step_holes("a_leaf_that_is_joined_with_itself"),
    ),
    Mutation(
        "an edge at T1 is not crossed", "touched_keys",
        "({c} > {low} and {c} <= {high})", "({c} > {low} and {c} < {high})",
        "<= becomes <", step_holes("a_step_crosses_every_edge"),
    ),
    Mutation(
        "rows that end touch nobody", "touched_keys",
        "for c in (*rows.starts, *rows.ends) if c is not None", "for c in rows.starts if c is not None",
        "windows do not decay when nothing is written", step_holes("a_step_crosses_every_edge"),
    ),
    Mutation(
        "rows that start touch nobody", "touched_keys",
        "for c in (*rows.starts, *rows.ends) if c is not None", "for c in rows.ends if c is not None",
        "a row written before its time never counts", step_holes("a_step_crosses_every_edge"),
    ),
    Mutation(
        "a late commit touches nobody", "touched_keys",
        "as changed where {changed.starts[0]} <= {high}",
        "as changed where {changed.starts[0]} > {low} and {changed.starts[0]} <= {high}",
        "late rows are forgotten", step_holes("a_step_sees_what_was_written_late"),
    ),
    Mutation(
        "new rows touch nobody", "touched_keys",
        "for relations in changes.each():", "for relations in changes.each()[:0]:",
        "data that moved while time stood still", step_holes("a_step_sees_what_was_written_late"),
    ),
    Mutation(
        "as-of keeps a history's row at its end", "_latest",
        """f"epoch_us({duckdb_sql(instant)}) < {rows.ends[0]}\"""",
        """f"epoch_us({duckdb_sql(instant)}) <= {rows.ends[0]}\"""",
        "< becomes <=", variants("history in a window"),
    ),
    Mutation(
        "a null key is an entity", "_guarded",
        'tests = [f"not q.{quoted(k)} is null" for k in view.entities]', 'tests = ["true"]',
        "rows without a key are stored", variants("lifetime"),
    ),
    Mutation(
        "a history's null key is an entity", "interval_rows",
        "for k in form.keys if nullable is None]", "for k in form.keys[:0] if nullable is None]",
        "rows without a key are stored", variants("history"),
    ),
    Mutation(
        "removed rows are ignored", "Changes.each",
        "[{**self.was, leaf: self.went[leaf]}] if leaf in self.went", "[] if leaf in self.went",
        "a deleted row counts for ever", step_holes("a_step_sees_what_was_removed"),
    ),
    Mutation(
        "a removed row is joined with what is left", "Changes.each",
        "{**self.was, leaf: self.went[leaf]}", "{leaf: self.went[leaf]}",
        "both sides of a join removed at once touch nobody",
        step_holes("a_step_sees_both_sides_of_a_join_removed"),
    ),
    Mutation(
        "a duplicate is no new row", "_recompute_touched",
        "{here} except all {there}", "{here} except {there}",
        "the same row written once more is not counted", step_holes("a_step_counts_a_duplicate"),
    ),
    Mutation(
        "one of two duplicates removed is no change", "_recompute_touched",
        "{there} except all {here}", "{there} except {here}",
        "a duplicate that was taken back still counts", step_holes("a_step_counts_a_duplicate"),
    ),
    Mutation(
        "entities never disappear", "_recompute_touched",
        "delete from {names.rows} where ({keys}) in", "delete from {names.rows} where false and ({keys}) in",
        "old rows stay beside the new ones", step_holes("a_step_crosses_every_edge"),
    ),
    Mutation(
        "time only moves on", "touched_keys",
        """low, high = f"least({low}, {high})", f"greatest({low}, {high})\"""", "low, high = low, high",
        "a step back in time touches nobody", step_holes("a_step_may_go_back_in_time"),
    ),
    Mutation(
        "what was seen is not kept", "maintain_state",
        "    step += [\n        *setup,\n", "    step += [\n",
        "each step compares with the first data, so a change taken back is lost",
        step_holes("a_change_taken_back_is_seen"),
    ),
    Mutation(
        "a step has no before", "maintain_state",
        "select at_time as before, ",
        "select cast($as_of as timestamptz) as before, ",
        "no edge lies between T1 and T1", step_holes("a_step_crosses_every_edge"),
    ),
    Mutation(
        "the instant is not kept", "maintain_state",
        '        *setup,\n        f"create or replace table {names.at} as select at_time from '
        '{names.clock}",\n        "commit",\n    ]\n    now =',
        '        *setup,\n        "commit",\n    ]\n    now =',
        "the state stores no T1, so reading at it is wrong", (), _INCREMENTAL,
    ),
    Mutation(
        "the hash forgets the boundary", "hash_meaning",
        '"boundary": view.boundary,', '"boundary": "",',
        "values change and the state is kept", hashes("what_the_view_declares_matters"),
    ),
    Mutation(
        "the hash forgets tie_break", "hash_meaning",
        '"tie_break": list(view.tie_break),', '"tie_break": [],',
        "values change and the state is kept", hashes("what_the_view_declares_matters"),
    ),
    Mutation(
        "the hash forgets the leaves", "hash_meaning",
        "{leaf.name: _roles(leaf) for leaf in draft.leaves.values()}",
        "{leaf.name: None for leaf in draft.leaves.values()}",
        "values change and the state is kept",
        hashes("the_roles_of_leaves_matter", "zones_and_day_ends_matter"),
    ),
    Mutation(
        "the hash reads comments", "hash_meaning",
        "comments=False", "comments=True",
        "a comment makes all be computed anew", hashes("text_does_not_matter"),
    ),
    Mutation(
        "a predicate that turns true touches nobody", "SelectTracer._flipped",
        'f"({one}) is distinct from ({two})"', 'f"({one}) and not ({two})"',
        "rows that a clock lets in later are never seen", (), _INCREMENTAL,
    ),
    Mutation(
        "affected rows keep to their own", "SelectTracer.as_table",
        "affected.append(self._widened(rows, parts, keys))", "assert self._widened(rows, parts, keys)",
        "a new row moves the ranks of the others", traced("a_window_is_touched_by_its_partition"),
    ),
    Mutation(
        "a ranked value of IN takes nobody's place", "SelectTracer.as_subquery",
        "rows = replace(rows, affected=self.tracer.cte(affected))", "assert affected",
        "the row that was ranked first before is left as it was",
        traced("a_row_takes_the_place_of_another_among_the_values_of_in"),
    ),
    Mutation(
        "groups do not age", "SelectTracer.as_table",
        "*self._group_flips(rows, keys, made)", "*list(self._group_flips(rows, keys, made))[:0]",
        "HAVING by the clock", traced("a_group_ages_out_though_no_row_changes"),
    ),
    Mutation(
        "computed times do not age", "SelectTracer._flips_as_computed",
        'bare.set("where", exp.Where(this=exp.var(self._flip(predicate))))',
        'bare.set("where", exp.Where(this=exp.false()))',
        "WHERE by the clock over an aggregate", traced("a_computed_time_ages_out"),
    ),
    Mutation(
        "subqueries touch nobody", "SelectTracer._rows",
        "*self._through_subqueries(rows)]", "*list(self._through_subqueries(rows))[:0]]",
        "NOT EXISTS is not followed", traced("a_row_that_comes_excludes_others"),
    ),
    Mutation(
        "NOT IN knows no null", "SelectTracer._through_subqueries",
        "loose = tested is not None and not _stands_in_where(found)", "loose = False",
        "a null makes NOT IN unknown for every row", traced("a_null_among_the_values_of_not_in"),
    ),
    Mutation(
        "one side of a union touches nobody", "Tracer._set_operation",
        "((left.affected, right.affected), (left.every, right.every))",
        "((left.affected, left.affected), (left.every, right.every))",
        "rows of the second side are never seen", (), _INCREMENTAL,
    ),
    Mutation(
        "a match takes no place", "_Pairs._rows",
        "if alone and keep_left:", "if alone and keep_left and not keep_right:",
        "the row without a match stays", (), _INCREMENTAL,
    ),
    Mutation(
        "what the other side of a join gained touches nobody", "_Pairs.joined",
        'self._rows(self.left.every, self.right.affected, "")',
        'list(self._rows(self.left.every, self.right.affected, ""))[:0]',
        "only the first relation's rows are followed", (), _INCREMENTAL,
    ),
)  # fmt: skip
