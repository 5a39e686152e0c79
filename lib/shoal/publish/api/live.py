"""The version that the server answers from, and how the next takes its place while requests are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from shoal.errors import InputError, ShoalError, one_line
from shoal.publish.api.answers import Published, open_published
from shoal.publish.api.scoring import load_models
from shoal.publish.api.sources import Source, StoreError
from shoal.publish.api.telemetry import Log, Metrics

# How often the store is asked for a new version; publish.grace_seconds is longer.
REFRESH_SECONDS = 1.0


class Live:
    """The open version. A request takes `published` once and keeps it to its end; a version that no request has any more closes
    itself."""

    def __init__(self, source: Source, models: Path, metrics: Metrics, log: Log, clock: Callable[[], datetime]) -> None:
        self.source, self.models, self.metrics, self.log, self.clock = source, models, metrics, log, clock
        self._published: Published | None = None
        # One look at the store at a time.
        self._looking = asyncio.Lock()

    @property
    def published(self) -> Published:
        """The open version. Raises StoreError before the first one is."""
        if self._published is None:
            raise StoreError("no version is open yet")
        return self._published

    @property
    def age_seconds(self) -> float:
        """Seconds since the open version was published."""
        if self._published is None:
            return 0.0
        return (self.clock() - datetime.fromisoformat(self._published.reader.manifest.started_at)).total_seconds()

    async def start(self) -> None:
        """Open the version that serves. Raises InputError where nothing was published, StoreError where the store does not
        answer."""
        version = await self.source.current()
        if version is None:
            raise InputError(f"{self.source.place}: nothing was published there; `shoal publish` does")
        await self._open(version)

    async def refresh(self) -> bool:
        """Open the version that serves where it is another one; returns whether it was. The old one stays where that fails."""
        try:
            async with self._looking:
                version = await self.source.current()
                if version is None or (self._published is not None and version == self._published.version):
                    return False
                await self._open(version)
        except (StoreError, ShoalError) as error:
            self.metrics.counts["refresh_failures"] += 1
            self.log.write("refresh failed", message=one_line(error))
            return False
        self.metrics.counts["refreshes"] += 1
        return True

    async def follow(self) -> None:
        """Refresh for ever."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self.refresh()

    async def _open(self, version: str) -> None:
        reader = await self.source.open(version)
        models = await asyncio.get_running_loop().run_in_executor(None, load_models, self.models, dict(reader.manifest.models))
        self._published = await open_published(reader, models)
        self.log.write("version", version=version, exports=len(reader.manifest.exports), skipped=list(reader.manifest.skipped))
