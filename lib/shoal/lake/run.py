"""The record of one run of a job: what it read, wrote and chose."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone


@dataclass
class Run:
    """What one run of a job read, wrote and chose; `shoal.runner.execute` turns it into a row of ops.runs."""

    run_id: str
    job: str = "interactive"
    started_at: datetime = datetime(1970, 1, 1, tzinfo=timezone.utc)
    rows_in: dict[str, int] = field(default_factory=dict)
    rows_out: dict[str, int] = field(default_factory=dict)
    input_versions: dict[str, int] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    # Whether an error may name people, so that only its class is kept.
    withholds_message: bool = False
    # Of the settings that the job declares, and of the code that runs: shoal.runner.fingerprint.
    conf_hash: str = ""
    code_hash: str = ""

    def note(self, **tags: object) -> None:
        """Record a choice of the run (`engine="local"`); values are kept as text."""
        self.tags.update({name: str(value) for name, value in tags.items()})

    def wrote(self, name: str, rows: int) -> int:
        """Add to the count of rows written to a table, and return `rows`."""
        self.rows_out[name] = self.rows_out.get(name, 0) + rows
        return rows
