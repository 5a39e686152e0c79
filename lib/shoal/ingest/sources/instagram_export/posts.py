"""Posts, stories, reels and profile photos to records."""

from __future__ import annotations

from collections.abc import Iterator

from shoal.ingest.formats.documents import ORIGINAL
from shoal.ingest.sources.instagram_export.documents import at, made_id, repaired, rows_in, said_in, sections
from shoal.ingest.sources.instagram_export.owners import owner_of

_KINDS = {"stories": "story", "ig_stories": "story", "profile": "profile_photo", "ig_profile_picture": "profile_photo",
          "ig_reels_media": "reel", "ig_igtv_media": "video", "videos": "video", "direct": "message_media"}  # fmt: skip


def posts_of(document: object, path: str) -> Iterator[object]:
    """One record a post, story, reel or profile photo; its id is that of its first file."""
    owner, _ = owner_of(path)
    for name, section in sections(repaired(document)).items():
        for row in rows_in(section):
            if not isinstance(row, dict):
                yield row
                continue
            media = [m for m in row.get("media") or [row] if isinstance(m, dict)]
            paths = [m.get("uri") or m.get("path") for m in media]
            first = media[0] if media else row
            times = (row.get("taken_at"), row.get("creation_timestamp"), first.get("creation_timestamp"))
            when = next((at(time) for time in times if time), None)
            words = row.get("title") or row.get("caption") or first.get("title")
            if "label_values" in row:
                values = said_in(row)
                when, words = when or at(values.timestamp), words or values.words
            yield {
                "item_id": made_id(owner, paths[0]) if paths and paths[0] else None, "kind": _KINDS.get(name, "post"),
                "user_id": owner, "text": words, "location": row.get("location"), "occurred_at": when, "media": paths,
                "is_video": bool(paths) and all(str(p).lower().endswith((".mp4", ".mov", ".webm")) for p in paths),
                ORIGINAL: row,
            }  # fmt: skip
