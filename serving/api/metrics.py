"""Metrics in Prometheus' text format. Each worker process counts for itself."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping

_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

Labels = Mapping[str, str]


class Metrics:
    """Counts of requests and statuses, and a histogram of latencies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[int] = Counter()
        self._statuses: Counter[tuple[str, str]] = Counter()
        self._buckets = [0] * (len(_BUCKETS_S) + 1)
        self._seconds = 0.0

    def count_request(self, status: int, seconds: float) -> None:
        """A lookup was answered with an HTTP status after that time."""
        with self._lock:
            self._requests[status] += 1
            self._seconds += seconds
            at = next((i for i, edge in enumerate(_BUCKETS_S) if seconds <= edge), len(_BUCKETS_S))
            self._buckets[at] += 1

    def count_statuses(self, statuses: Mapping[tuple[str, str], int]) -> None:
        """Values of features by (view, status)."""
        with self._lock:
            self._statuses.update(statuses)

    def render(self, ages_s: Mapping[str, float], rows: Mapping[str, int]) -> str:
        """The text to scrape.

        Args:
            ages_s: age in seconds of each view's rows.
            rows: how many each view has.
        """
        with self._lock:
            requests, statuses = dict(self._requests), dict(self._statuses)
            buckets, seconds = list(self._buckets), self._seconds
        lines = _family("forebay_requests_total", "counter", "Lookups by HTTP status.")
        lines += [
            _sample("forebay_requests_total", {"status": str(s)}, n) for s, n in requests.items()
        ]
        lines += _histogram(buckets, seconds)
        lines += _family("forebay_feature_values_total", "counter", "Values served by status.")
        lines += [
            _sample("forebay_feature_values_total", {"view": view, "status": status}, n)
            for (view, status), n in statuses.items()
        ]
        lines += _family("forebay_view_age_seconds", "gauge", "Age of a view's rows.")
        lines += [_sample("forebay_view_age_seconds", {"view": v}, a) for v, a in ages_s.items()]
        lines += _family("forebay_view_rows", "gauge", "Entities of a view in the online store.")
        lines += [_sample("forebay_view_rows", {"view": v}, n) for v, n in rows.items()]
        return "\n".join(lines) + "\n"


def _histogram(buckets: Iterable[int], seconds: float) -> list[str]:
    name = "forebay_request_seconds"
    lines = _family(name, "histogram", "Time to answer a lookup.")
    total = 0
    for edge, count in zip([*map(str, _BUCKETS_S), "+Inf"], buckets, strict=True):
        total += count
        lines.append(_sample(f"{name}_bucket", {"le": edge}, total))
    return [*lines, _sample(f"{name}_sum", {}, seconds), _sample(f"{name}_count", {}, total)]


def _family(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _sample(name: str, labels: Labels, value: float) -> str:
    inner = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {value}" if inner else f"{name} {value}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
