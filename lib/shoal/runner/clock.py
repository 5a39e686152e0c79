"""The wall clock, for the log of runs and for leases only: no result depends on it."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> datetime:
    """Return the present time, in UTC."""
    return datetime.now(timezone.utc)
