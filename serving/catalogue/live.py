"""The live part of a page: the current status of views, and what its reader may see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from feature_specs.errors import ForebayError
from feature_specs.feature_shapes import FeatureShape
from feature_specs.skew_figures import SkewFigures
from lakehouse.plans import planned_statement, statement_file
from serving.api.listing import Online
from serving.catalogue.snippets import SnippetSettings


@dataclass(frozen=True)
class Examples:
    """Some entities' values of a view, as a lookup of now answers them.

    Attributes:
        keys: of each entity the texts of its key values.
        values: of each entity the JSON texts of its features, in the order of ``features``.
        problem: why there are none, in words; empty where there are.
    """

    features: tuple[str, ...] = ()
    keys: tuple[tuple[str, ...], ...] = ()
    values: tuple[tuple[str, ...], ...] = ()
    problem: str = ""

    def of(self, feature: str) -> list[tuple[tuple[str, ...], str]]:
        """Key and value of one feature; empty where it is none of them."""
        if feature not in self.features:
            return []
        place = self.features.index(feature)
        return [(key, row[place]) for key, row in zip(self.keys, self.values, strict=True)]


NO_EXAMPLES = Examples()


@dataclass(frozen=True)
class Live:
    """What is known at the moment of a page.

    Attributes:
        online: how each view stands by name; empty on a static site.
        may_read: whether the reader may read a view.
        examples: of the page's view.
        folder: target/forebay; None where it is not known.
        shapes: of features by ``view:feature``, statistics to be drawn.
        skews: of features by ``view:feature`` and ``role:feature``, what was served beside training.
    """

    online: Mapping[str, Online] = field(default_factory=dict)
    may_read: Callable[[str], bool] = lambda view: True
    examples: Examples = NO_EXAMPLES
    place: SnippetSettings = field(default_factory=SnippetSettings)
    folder: Path | None = None
    shapes: Mapping[str, FeatureShape] = field(default_factory=dict)
    skews: Mapping[str, SkewFigures] = field(default_factory=dict)

    @property
    def status(self) -> dict[str, str]:
        """The status of each view by name."""
        return {name: online.status for name, online in self.online.items()}

    def is_compiled(self, view: str) -> bool:
        """Whether `statements` has any; reads none of them."""
        return self.folder is not None and any(
            statement_file(self.folder, view, name).is_file() for _, name in _STATEMENTS
        )

    def statements(self, view: str) -> Sequence[tuple[str, str]]:
        """The compiled SQL of a view with a title each; none where it is not at hand."""
        if self.folder is None:
            return ()
        found = []
        for title, name in _STATEMENTS:
            try:
                found.append((title, planned_statement(self.folder, view, name).strip()))
            except (ForebayError, OSError):
                continue  # of a view without a past, or target/ was removed
        return found


_STATEMENTS = (
    ("Point in time: training sets", "point_in_time"),
    ("As of an instant: a full build", "as_of"),
    ("A step: what an incremental build recomputes", "step"),
)
