"""Clients of feature vectors, with their answers and errors."""

from feature_specs.errors import DataError, ForebayError, UnknownNameError
from forebay.client.answer import DeprecatedViewWarning
from forebay.client.async_client import AsyncClient
from forebay.client.client import Client
from forebay.client.errors import AccessError, ClosedError, UnavailableError
from forebay.client.listing import Feature, Health, Service
from forebay.client.vectors import Absent, Vectors
from serving.lookup.errors import InvalidRequestError, NotReadyError

__all__ = [
    "Absent",
    "AccessError",
    "AsyncClient",
    "Client",
    "ClosedError",
    "DataError",
    "DeprecatedViewWarning",
    "Feature",
    "ForebayError",
    "Health",
    "InvalidRequestError",
    "NotReadyError",
    "Service",
    "UnavailableError",
    "UnknownNameError",
    "Vectors",
]
