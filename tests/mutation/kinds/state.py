"""As-of and incremental: what a step must notice."""

from __future__ import annotations

from tests.mutation.mutation import Mutation, hashes, step_holes, variants

_INCREMENTAL = "incremental"

STATE = (
    Mutation(
        "a self-join is stepped by key", "read_as_of",
        "form is None or not form.simple or _reads_twice(form)", "form is None or not form.simple",
        "rows added meet each other only, not those that were there",
        step_holes("a_leaf_that_is_joined_with_itself"),
    ),
    Mutation(
        "an edge at T1 is not crossed", "read_as_of",
        "({c} > {low} and {c} <= {high})", "({c} > {low} and {c} < {high})",
        "<= becomes <", step_holes("a_step_crosses_every_edge"),
    ),
    Mutation(
        "rows that end touch nobody", "read_as_of",
        "for c in (*rows.starts, *rows.ends) if c is not None", "for c in rows.starts if c is not None",
        "windows do not decay when nothing is written", step_holes("a_step_crosses_every_edge"),
    ),
    Mutation(
        "rows that start touch nobody", "read_as_of",
        "for c in (*rows.starts, *rows.ends) if c is not None", "for c in rows.ends if c is not None",
        "a row written before its time never counts", step_holes("a_step_crosses_every_edge"),
    ),
    Mutation(
        "a late commit touches nobody", "read_as_of",
        "as changed where {changed.starts[0]} <= {high}",
        "as changed where {changed.starts[0]} > {low} and {changed.starts[0]} <= {high}",
        "late rows are forgotten", step_holes("a_step_sees_what_was_written_late"),
    ),
    Mutation(
        "new rows touch nobody", "read_as_of",
        "for relations in changes:", "for relations in changes[:0]:",
        "data that moved while time stood still", step_holes("a_step_sees_what_was_written_late"),
    ),
    Mutation(
        "as-of keeps a history's row at its end", "read_as_of",
        """f"epoch_us({duckdb_sql(instant)}) < {rows.ends[0]}\"""",
        """f"epoch_us({duckdb_sql(instant)}) <= {rows.ends[0]}\"""",
        "< becomes <=", variants("history in a window"),
    ),
    Mutation(
        "a null key is an entity", "read_as_of",
        'tests = [f"not q.{quoted(k)} is null" for k in view.entities]', 'tests = ["true"]',
        "rows without a key are stored", variants("lifetime"),
    ),
    Mutation(
        "a history's null key is an entity", "interval_rows",
        "for k in form.keys if nullable is None]", "for k in form.keys[:0] if nullable is None]",
        "rows without a key are stored", variants("history"),
    ),
    Mutation(
        "removed rows are ignored", "maintain_state",
        "out.append({**was, leaf.name: names.removed(key)})", "assert was",
        "a deleted row counts for ever", step_holes("a_step_sees_what_was_removed"),
    ),
    Mutation(
        "a removed row is joined with what is left", "maintain_state",
        "was = {other.name: names.seen(k) for k, other in draft.leaves.items()}",
        "was: dict[str, str] = {} if names else {}",
        "both sides of a join removed at once touch nobody",
        step_holes("a_step_sees_both_sides_of_a_join_removed"),
    ),
    Mutation(
        "a duplicate is no new row", "maintain_state",
        "{here} except all {there}", "{here} except {there}",
        "the same row written once more is not counted", step_holes("a_step_counts_a_duplicate"),
    ),
    Mutation(
        "one of two duplicates removed is no change", "maintain_state",
        "{there} except all {here}", "{there} except {here}",
        "a duplicate that was taken back still counts", step_holes("a_step_counts_a_duplicate"),
    ),
    Mutation(
        "entities never disappear", "maintain_state",
        "delete from {names.rows} where ({keys}) in", "delete from {names.rows} where false and ({keys}) in",
        "old rows stay beside the new ones", step_holes("a_step_crosses_every_edge"),
    ),
    Mutation(
        "time only moves on", "maintain_state",
        "_earlier(before, at), _later(before, at)", "before, at",
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
)  # fmt: skip
