"""The plugin that a dbt profile names: `module: forebay.dbt_plugin`, however forebay is installed."""

from __future__ import annotations

from lakehouse.dbt_plugin import Plugin

__all__ = ["Plugin"]
