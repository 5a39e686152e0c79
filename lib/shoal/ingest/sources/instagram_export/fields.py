"""The flat form of all records of an archive."""

from __future__ import annotations

from shoal.ingest.fields import Field
from shoal.ingest.sources.instagram_export.hiding import hidden_events, hidden_item, hidden_media

SOURCE = "instagram_export"
FIELDS = (
    Field("record_id", "id"),
    Field("kind", "word"),
    Field("user_id", "id"),
    Field("other_id", "id"),
    Field("item_id", "id", people=hidden_item),
    Field("conversation_id", "id"),
    Field("name", "text", people="id"),
    Field("text", "text"),
    Field("location", "text"),
    Field("is_video", "flag"),
    Field("occurred_at", "time"),
    # JSON arrays: paths of pictures and videos, people of a conversation, events of others with a message.
    Field("media", "list", people=hidden_media),
    Field("people", "list"),
    Field("events", "text", people=hidden_events),
)
