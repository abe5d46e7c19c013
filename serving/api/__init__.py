"""The lookup API, the catalogue page and the metrics. Imports no engine and no compiler."""

from serving.api.app import create_app

__all__ = ["create_app"]
