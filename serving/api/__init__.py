"""The lookup API, the catalogue page and the metrics. Imports no engine and no compiler."""

from serving.api.app import App, create_app

__all__ = ["App", "create_app"]
