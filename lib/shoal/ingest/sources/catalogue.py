"""The sources by name: `shoal ingest --source NAME`."""

from __future__ import annotations

from shoal.errors import UsageError
from shoal.ingest.record_type import RecordType
from shoal.ingest.sources import (
    fashion_catalog,
    general,
    impressions,
    instagram_influencers,
    media_reviews,
    movielens,
    twitter_activity,
    twitter_archive,
)
from shoal.ingest.sources.instagram_export import parts as instagram_export

SOURCES: dict[str, tuple[RecordType, ...]] = {
    "ratings": (general.RATINGS,),
    "events": (general.EVENTS,),
    "items": (general.ITEMS,),
    "texts": (general.TEXTS,),
    "edges": (general.EDGES,),
    "blocks": (general.BLOCKS,),
    "profiles": (general.PROFILES,),
    "moderation": (general.MODERATION,),
    "movielens": movielens.PARTS,
    "instagram_influencers": instagram_influencers.PARTS,
    "instagram_export": instagram_export.PARTS,
    "twitter_activity": twitter_activity.PARTS,
    "twitter_archive": twitter_archive.PARTS,
    "media_reviews": media_reviews.PARTS,
    "fashion_catalog": fashion_catalog.PARTS,
    "impressions": impressions.PARTS,
}

# Forms of messages, and what each message is one of; parts of a form have the same fields.
STREAMED: dict[str, tuple[RecordType, ...]] = {
    "events": (general.EVENTS,),
    "twitter_activity": (twitter_activity.ACTIVITY, twitter_activity.FOLLOWS),
}


def parts_of(source: str) -> tuple[RecordType, ...]:
    """The parts of a source. Raises UsageError, naming those there are, for another name."""
    if source not in SOURCES:
        raise UsageError(f"--source {source}: no such source; there are {', '.join(SOURCES)}")
    return SOURCES[source]
