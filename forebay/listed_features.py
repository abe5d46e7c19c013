"""A project's features as a list that notebooks show as a table."""

from __future__ import annotations

from collections.abc import Sequence

from feature_specs.catalog import Catalog
from feature_specs.durations import duration_text
from forebay.client.listing import Feature, read_features
from serving.api.listing import Online, listing

_HEADER = ("feature", "type", "entity", "owner", "freshness", "description")


class Features(list[Feature]):
    """Features, shown as a table of what they are called, their type, entity, owner and age."""

    def __repr__(self) -> str:
        from forebay.show import text_table

        return text_table(self._cells(), _HEADER)

    def _repr_html_(self) -> str:
        return self.as_html()

    def as_html(self, caption: str = "") -> str:
        """An HTML table."""
        from forebay.show import html_table

        return html_table(self._cells(), _HEADER, caption)

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (f.reference, f.type, ", ".join(f.entities), f.owner, _fresh(f), f.description)
            for f in self
        ]


def list_features(catalog: Catalog, online: Sequence[Feature] | None) -> Features:
    """All features of a catalog.

    Args:
        online: as the online store has them; None where there is none, so that nothing is synced.
    """
    if online is not None:
        return Features(online)
    none = dict.fromkeys(catalog.views, Online("unsynced"))
    return Features(read_features(listing(catalog, none, catalog.access)))


def _fresh(feature: Feature) -> str:
    """The status of a feature's rows, and their age and how old they may be."""
    parts = [feature.status]
    if feature.age is not None:
        parts.append(f"{duration_text(feature.age)} old")
    if feature.freshness is not None:
        parts.append(f"of {duration_text(feature.freshness)}")
    return ", ".join(parts)
