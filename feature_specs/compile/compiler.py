"""The compiler: an ordered tuple of passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlglot.errors import SqlglotError

from feature_specs.compile.check_arguments import (
    check_dialect,
    leaves_by_name,
    lower_names,
)
from feature_specs.compile.compiled_view import CompiledView
from feature_specs.compile.draft import Draft
from feature_specs.compile.intervals.form_intervals import form_intervals
from feature_specs.compile.keep_arrays_as_lists import keep_arrays_as_lists
from feature_specs.compile.lowerings.choose_lowering import choose_lowering
from feature_specs.compile.normalize.inline_models import inline_models
from feature_specs.compile.normalize.name_sources_apart import name_sources_apart
from feature_specs.compile.normalize.note_visibility import note_visibility
from feature_specs.compile.normalize.order_totally import order_totally
from feature_specs.compile.normalize.qualify_columns import qualify_columns
from feature_specs.compile.normalize.refuse_reserved_names import refuse_reserved_names
from feature_specs.compile.normalize.refuse_unsafe import refuse_unsafe
from feature_specs.compile.normalize.resolve_clock import resolve_clock
from feature_specs.compile.normalize.show_hidden_tables import show_hidden_tables
from feature_specs.compile.normalize.spell_columns import spell_columns
from feature_specs.compile.normalize.split_read_time import split_read_time
from feature_specs.compile.normalize.type_divisions import type_divisions
from feature_specs.compile.parse.parse_query import parse_query
from feature_specs.errors import (
    CompileError,
    UnsafeQueryError,
    first_line,
)
from feature_specs.leaf import Leaf, leaf_key
from feature_specs.names import fold_name
from feature_specs.view import FeatureView

#: From the author's text to the form that all variants are read from.
PASSES: tuple[Callable[[Draft], Draft], ...] = (
    parse_query,
    inline_models,
    refuse_reserved_names,  # of the whole text: what follows makes names of its own
    refuse_unsafe,
    show_hidden_tables,
    spell_columns,  # before qualify_columns, which folds all names
    qualify_columns,
    type_divisions,
    name_sources_apart,
    resolve_clock,
    order_totally,
    split_read_time,
    keep_arrays_as_lists,  # of what is stored
    note_visibility,
    form_intervals,
)


def compile_view(
    view: FeatureView, leaves: Sequence[Leaf], dialect: str = "duckdb"
) -> CompiledView:
    """Compile one view, with its leak proof.

    Args:
        leaves: the tables that its SQL, or the SQL of the models it reads, names.
        dialect: what the author wrote in.

    Raises:
        ForebayError: a subclass that says what is wrong, where, and how to fix it.
    """
    check_dialect(dialect)
    known = leaves_by_name(leaves, dialect, view.file or f"view {view.name}")
    written = [c for leaf in leaves for c in leaf.columns]
    written += [*view.entities, *([view.event_time] if view.event_time else [])]
    spelled = {leaf_key(leaf.name): {fold_name(c): c for c in leaf.columns} for leaf in leaves}
    labels = {fold_name(w): w for w in written}
    draft = Draft(lower_names(view), dialect, known, spelled=spelled, labels=labels)
    try:
        return _compile(draft)
    except SqlglotError as error:
        raise CompileError(
            f"a part of the query cannot be written back as SQL: {first_line(error)}",
            where=draft.file,
            hint="write that part in another way",
        ) from error


def _compile(draft: Draft) -> CompiledView:
    for step in PASSES:
        draft = step(draft)
    try:
        return _certified(draft)
    except UnsafeQueryError as gap:
        if draft.form is None:
            raise
        # The query cut leaf by leaf needs no interval form, and has a proof of its own.
        why = f"its interval form lacks a proof: {gap.what}"
        return _certified(replace(draft, form=None, why_no_form=why))


def _certified(draft: Draft) -> CompiledView:
    """The view, once DuckDB takes its query and its point-in-time variant is proved."""
    compiled = CompiledView(draft, choose_lowering(draft))
    compiled.describe()
    compiled.prove()
    return compiled
