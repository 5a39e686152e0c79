"""Likes, saved posts and comments to records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shoal.ingest.formats.documents import ORIGINAL
from shoal.ingest.sources.instagram_export.documents import at, leaves_in, made_id, post_of, repaired, rows_in, said_in, sections
from shoal.ingest.sources.instagram_export.owners import owner_of


def likes_of(document: object, path: str) -> Iterator[object]:
    """One record a like."""
    return _marks(document, path, "like")


def saved_of(document: object, path: str) -> Iterator[object]:
    """One record a saved post."""
    return _marks(document, path, "save")


def _marks(document: object, path: str, event: str) -> Iterator[object]:
    owner, _ = owner_of(path)
    for name, section in sections(repaired(document)).items():
        # Of a comment that is liked, the title is who wrote it, the link the post that it is below, whose owner is unknown.
        of_comment = "comment" in (name or Path(path).name)
        for row in rows_in(section):
            words = None
            if isinstance(row, list):
                # 2020: time and owner of the post, not the post.
                when, other, link = row[0], row[1], None
            elif isinstance(row, dict):
                first_leaf = said_in(row)
                when, other, link, words = at(first_leaf.timestamp), first_leaf.user, first_leaf.href, first_leaf.words
            else:
                yield row
                continue
            record = {"kind": event, "user_id": owner, "item_id": post_of(link, other, when), "occurred_at": when, ORIGINAL: row}
            yield record | ({"people": [other] if other else []} if of_comment else {"other_id": other, "text": words})


def comments_of(document: object, path: str) -> Iterator[object]:
    """One record a comment. The archive names the owner of the post, not the post."""
    owner, _ = owner_of(path)
    for section in sections(repaired(document)).values():
        for row in rows_in(section):
            if isinstance(row, list):
                when, words, other = row[0], row[1], row[2]
            elif isinstance(row, dict):
                words, other = _comment_in(row)
                when = at(said_in(row).timestamp)
            else:
                yield row
                continue
            yield {"record_id": made_id(owner, when, words, other), "kind": "comment", "user_id": owner, "other_id": other,
                   "item_id": post_of(None, other, when), "text": words, "occurred_at": when, ORIGINAL: row}  # fmt: skip


def _comment_in(row: dict[str, Any]) -> tuple[Any, Any]:
    """The words of a comment and the owner of the post.

    Labels are in the language of the account; their order is the same in all.
    """
    if isinstance(row.get("label_values"), list):
        first_leaf = said_in(row)
        values = [leaf.get("value") for leaf in leaves_in(row) if leaf.get("value")]
        return first_leaf.words, first_leaf.user or next(iter(values[1:]), None)
    mapped = row.get("string_map_data") or {}
    values = [v.get("value") for v in mapped.values() if isinstance(v, dict) and v.get("value")]
    values += [v.get("value") for v in row.get("string_list_data") or []]
    words = mapped["Comment"].get("value") if "Comment" in mapped else next(iter(values), None)
    return words, mapped["Media Owner"].get("value") if "Media Owner" in mapped else next(iter(values[1:]), None)
