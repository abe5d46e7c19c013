"""The certificate accepts what it must not."""

from __future__ import annotations

from tests.mutation.mutation import Mutation, certificate, proof_holes

_CUT = certificate("a_cut_that_is_taken_away_or_moved_is_found")

PROOF = (
    Mutation(
        "a cut may point ahead", "cut_of",
        "if not isinstance(test, (exp.LTE, exp.LT)):",
        "if not isinstance(test, (exp.LTE, exp.LT, exp.GTE)):",
        "ts >= t is taken for a bound", _CUT,
    ),
    Mutation(
        "a cut may be moved", "unshifted",
        "return early is None and isinstance(instant, (exp.Column, exp.Parameter, exp.Literal))",
        "return early is None or isinstance(instant, (exp.Column, exp.Parameter, exp.Literal))",
        "ts <= t + interval '1' day is taken for a bound", _CUT,
    ),
    Mutation(
        "any column bounds a row", "meets_spine",
        "if reading.owner(small) != alias or small.name not in carriers:",
        "if reading.owner(small) != alias:",
        "a column that says nothing of visibility meets the instant",
        proof_holes("the_end_of_a_row_is_no_bound"),
    ),
    Mutation(
        "a missing mask passes", "cut_of",
        "if not names <= found.keys() or masks(reading, alias, leaf, outputs):",
        "if not names <= found.keys():",
        "a column known later is handed on as it is",
        certificate("a_mask_that_is_taken_away_is_found"),
    ),
    Mutation(
        "the arrival needs no bound", "times_of",
        "names.add(leaf.loaded_at)", "names.add(leaf.event_time)",
        "a scan bounded by event_time alone passes", _CUT,
    ),
    Mutation(
        "a frame may look ahead", "window_is_bounded",
        'end = str(spec.args.get("end") or "CURRENT ROW").upper()', 'end = "CURRENT ROW"',
        "unbounded following passes", certificate("a_frame_that_looks_ahead_is_found"),
    ),
    Mutation(
        "lead may look ahead", "window_is_bounded",
        "if not looks_back(window.this):", "if False:",
        "the next row's value passes", proof_holes("a_lead_in_place_of_a_lag_is_found"),
    ),
    Mutation(
        "a lag by less than nothing is a lag to the proof", "looks_back",
        "return offset is None or (isinstance(offset, exp.Literal) and offset.is_int)", "return True",
        "the next row's value passes", proof_holes("a_lag_that_looks_ahead_is_found"),
    ),
    Mutation(
        "rows of many spine rows may mix", "check_per_spine_row",
        'if group is not None and not any(k.name == "fb_row" for k in group.expressions):',
        "if False:",
        "features of one spine row gather what another saw",
        proof_holes("a_group_over_several_spine_rows_is_found"),
    ),
    Mutation(
        "ranks over many spine rows may mix", "check_per_spine_row",
        'if not any(p.name == "fb_row" for p in window.args.get("partition_by") or []):', "if False:",
        "the newest row of another spine row answers",
        proof_holes("a_rank_over_several_spine_rows_is_found"),
    ),
    Mutation(
        "a group may start apart from its instant", "materialized_relation",
        "if not is_instant_of(reading, expression, spine):", "if False:",
        "a nested group's value is given an earlier start",
        certificate("a_nested_group_read_apart_from_its_instant_is_found"),
    ),
    Mutation(
        "rows may leave without meeting the spine", "Bounds.prove",
        'if result.status == "held":', "if False:",
        "what is never bounded passes", proof_holes("rows_that_never_meet_the_spine_are_found"),
    ),
    Mutation(
        "least passes for greatest", "reaches",
        "if isinstance(node, exp.Greatest):", "if isinstance(node, (exp.Greatest, exp.Least)):",
        "the earliest of two times bounds both",
        certificate("a_start_that_forgets_the_arrival_is_found", "a_join_that_forgets_one_side_is_found"),
    ),
    Mutation(
        "one of several times is enough", "respects",
        "return all(reaches(reading, node, alias, {t}) for t in times)",
        "return any(reaches(reading, node, alias, {t}) for t in times)",
        "the arrival, or when a column becomes known, is not asked for",
        certificate("a_start_that_forgets_the_arrival_is_found", "a_piece_that_shows_its_value_early_is_found"),
    ),
    Mutation(
        "a window over all rows passes", "window_is_bounded",
        'if any(is_start(p) for p in base.args.get("partition_by") or []):\n        return True',
        'if base.args.get("partition_by"):\n        return True',
        "a rank among rows to come", certificate("a_rank_over_rows_to_come_is_found"),
    ),
    Mutation(
        "groups may gather rows that start later", "check_gathering",
        "if not by_start and not plain:", "if False:",
        "an aggregate over all starts is given the least of them",
        proof_holes("a_group_that_gathers_later_rows_is_found"),
    ),
    Mutation(
        "a group may count rows that start later", "check_gathering",
        "plain = plain and (having is None or not having.find(exp.AggFunc))", "pass",
        "HAVING looks ahead", proof_holes("a_group_that_is_there_for_its_later_rows_is_found"),
    ),
    Mutation(
        "a subquery needs no cut", "SelectProof._inner_queries",
        'if found.status == "held":', "if False:",
        "a subquery in a condition reads rows without a bound",
        proof_holes("a_subquery_without_a_bound_is_found"),
    ),
)  # fmt: skip
