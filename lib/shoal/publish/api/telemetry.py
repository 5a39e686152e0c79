"""What the server says of itself: counters for Prometheus, and a line of JSON a request. No ids of people in either."""

from __future__ import annotations

import logging
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime

import orjson

# Seconds: a look-up takes some tenths of a millisecond, a text some milliseconds.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """Counters of one process."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = defaultdict(int)
        self.durations: dict[str, list[int]] = {}
        self.seconds: dict[str, float] = defaultdict(float)
        names = ("stale_answers", "events", "event_failures", "refreshes", "refresh_failures", "store_failures")
        self.counts: dict[str, int] = dict.fromkeys(names, 0)
        self.in_flight = 0

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.requests[route, method, status] += 1
        self.durations.setdefault(route, [0] * (len(BUCKETS) + 1))[bisect_left(BUCKETS, seconds)] += 1
        self.seconds[route] += seconds

    def text(self, version: str, age_seconds: float) -> str:
        """The metrics in Prometheus' text format. `age_seconds`: since the version that serves was published."""
        lines = ["# HELP shoal_requests_total Answered requests.", "# TYPE shoal_requests_total counter"]
        for (route, method, status), n in sorted(self.requests.items()):
            lines.append(f'shoal_requests_total{{route="{route}",method="{method}",status="{status}"}} {n}')
        lines += ["# HELP shoal_request_seconds Time to answer.", "# TYPE shoal_request_seconds histogram"]
        for route, counts in sorted(self.durations.items()):
            total = 0
            for bound, n in zip([*map(str, BUCKETS), "+Inf"], counts, strict=True):
                total += n
                lines.append(f'shoal_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}')
            lines.append(f'shoal_request_seconds_sum{{route="{route}"}} {self.seconds[route]:.6f}')
            lines.append(f'shoal_request_seconds_count{{route="{route}"}} {total}')
        for name, n in self.counts.items():
            lines += [f"# TYPE shoal_{name}_total counter", f"shoal_{name}_total {n}"]
        lines += ["# HELP shoal_requests_in_flight Requests that are being answered.", "# TYPE shoal_requests_in_flight gauge",
                  f"shoal_requests_in_flight {self.in_flight}",
                  "# HELP shoal_published_age_seconds Age of the published version.", "# TYPE shoal_published_age_seconds gauge",
                  f'shoal_published_age_seconds{{version="{version}"}} {age_seconds:.0f}']  # fmt: skip
        return "\n".join(lines) + "\n"


class Log:
    """Lines of JSON on stderr."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock

    def write(self, event: str, **facts: object) -> None:
        """One line: time, what happened, and its facts."""
        line = orjson.dumps({"at": self.clock().isoformat(timespec="milliseconds"), "event": event, **facts}, default=str)
        sys.stderr.write(line.decode() + "\n")


class JsonHandler(logging.Handler):
    """Warnings and errors of the server's own libraries as lines of the same log; of an exception its class only."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self.log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        message = record.getMessage().splitlines()[0] if record.getMessage() else ""
        self.log.write(record.levelname.lower(), logger=record.name, message=message[:300], error=error)
