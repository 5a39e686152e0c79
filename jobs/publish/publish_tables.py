"""Publish tables as key and value, for programs that answer requests.

Reads:  the tables of lib/shoal/publish/stores/publish.yaml that exist, of those with days the newest one; champions of text models
Writes: a version in the store of publish.target, which then serves in the place of the one before; ops.publications: one row

Nothing is written where tables and models are those of the version that serves. `--rollback` returns to the version before;
`--force` writes every export anew. Skipped where the lake has none of the tables.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

from shoal.conf.sections import PublishConf
from shoal.errors import UsageError
from shoal.lake.lake import Lake
from shoal.publish.stores.publication import publish, roll_back
from shoal.publish.stores.targets import open_target
from shoal.runner.clock import utc_now
from shoal.runner.command import run_job

READS = (
    "gold.recommendations", "gold.similar_items", "gold.trending", "silver.items", "gold.segments", "gold.communities",
    "gold.node_ranks", "gold.user_interests", "gold.follow_recommendations", "features.items", "silver.interactions",
    "models:/shoal_sentiment", "models:/shoal_emotion", "models:/shoal_moderation",
)  # fmt: skip
WRITES = ("ops.publications",)


def folder(lake: Lake, conf: PublishConf) -> Path:
    """Where published files lie. Raises UsageError where the lake is no local folder and none is named."""
    if conf.folder is not None:
        return Path(conf.folder)
    if not lake.is_local:
        raise UsageError("publish.folder: needed where the lake is no local folder; name one that the server can read")
    return lake.root / "published"


def run(lake: Lake, conf: PublishConf, as_of: date, *, rollback: bool = False, force: bool = False) -> None:
    """Publish, or return to the version before. The newest day of each table counts, whatever as_of is."""
    place = folder(lake, conf)
    target = open_target(conf, place)
    if rollback:
        manifest = roll_back(lake, target, utc_now)
        lake.run.note(target=target.name, version=manifest.version, outcome="rolled back")
        return
    outcome = publish(lake, target, place, conf.keep_versions, utc_now, force)
    manifest = outcome.manifest
    lake.run.note(
        target=target.name, version=manifest.version, outcome="published" if outcome.is_new else "nothing changed",
        loaded=",".join(outcome.loaded), kept=",".join(outcome.kept), skipped=",".join(manifest.skipped),
        models=",".join(manifest.models.values()), removed=",".join(outcome.removed), place=target.place,
    )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, PublishConf, argv)


if __name__ == "__main__":
    sys.exit(main())
