"""Answers from a published version: lists, neighbours, trends, people, search. All from look-ups; no Spark, no state of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from shoal.mine.text.plain_terms import compiled
from shoal.publish.api.search_source import SearchSource
from shoal.publish.api.sources import Reader, Wanted
from shoal.recommend.ranking.sentences import rendered

Row = dict[str, Any]
# Reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009): its constant, and the newest items of a session that count.
FUSION, SESSION_ITEMS = 60, 5
KINDS = ("post", "product", "film", "tweet", "other")
MAX_WORDS = 8
_WORD = compiled(r"[\p{L}\p{M}\p{N}_]+")
_POPULAR = {"item_id": "", "rank": 0, "score": 0.0, "reason_code": "popular", "because_item_id": None, "source": "popularity",
            "variant": "champion", "propensity": 1.0, "model_version": "popularity"}  # fmt: skip
_PEOPLE = ("segments", "communities", "influence", "interests", "follows")


@dataclass(frozen=True)
class Published:
    """A version that is open. `popular`: the fallback list with each item's categories, read once; `models`: what scores texts."""

    reader: Reader
    popular: Sequence[Row] = ()
    models: Mapping[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The version's name."""
        return self.reader.manifest.version

    def day(self, export: str) -> str | None:
        """The day of an export; None where it has none or is not part of the version."""
        loaded = self.reader.manifest.exports.get(export)
        return None if loaded is None else loaded.as_of


async def open_published(reader: Reader, models: Mapping[str, Any]) -> Published:
    """Read the fallback list and its items' categories. Cost: 1,000 look-ups at most."""
    popular = (await _load(reader, [("popularity", "all")]))[0] or []
    cards = await _load(reader, [("items", row["item_id"]) for row in popular])
    listed = [
        {"item_id": row["item_id"], "score": row["score"], "categories": _folded(card)}
        for row, card in zip(popular, cards, strict=True)
    ]
    return Published(reader, listed, models)


async def recommend(
    published: Published, user_id: str, k: int, category: str | None, recent: Sequence[tuple[str, str]], details: bool
) -> Row:
    """The user's k best items that the user has not met: of the published list, re-ranked by the newest events (`recent`, the
    newest first); then, and for a user without a list, popular ones. `source` says which. A category keeps its items only."""
    reader = published.reader
    found = (await reader.get_many([("recommendations", user_id)]))[0]
    rows: list[Row] = [] if found is None else orjson.loads(found)
    met = {item for item, _ in recent}
    if met:
        rows = [row for row in rows if row["item_id"] not in met]
        rows = await _reranked(reader, rows, list(dict.fromkeys(item for item, _ in recent))[:SESSION_ITEMS])
    if category is not None:
        cards = await _load(reader, [("items", row["item_id"]) for row in rows])
        rows = [row for row, card in zip(rows, cards, strict=True) if category.lower() in _folded(card)]
    rows = rows[:k]
    if len(rows) < k:
        rows += await _popular(published, user_id, k - len(rows), category, met | {row["item_id"] for row in rows})
    for place, row in enumerate(rows, 1):
        row["rank"] = place
    if details:
        await _add_details(reader, rows)
    source = "popularity" if found is None else "session" if met else "list"
    return {"user_id": user_id, "source": source, "as_of": published.day("recommendations"), "items": rows}


async def similar(published: Published, item_id: str, k: int, kind: str | None, details: bool) -> Row | None:
    """The k nearest items by what people share, then by content, all vectors together, looks, price and words; each once. None
    for an unknown item."""
    neighbours, card = await _load(published.reader, [("similar", item_id), ("items", item_id)])
    if neighbours is None and card is None:
        return None
    rows = _distinct(row for row in neighbours or [] if kind is None or row["kind"] == kind)[:k]
    if details:
        await _add_details(published.reader, rows)
    return {"item_id": item_id, "as_of": published.day("similar"), "items": rows}


async def trending(published: Published, k: int, kind: str | None, category: str | None, details: bool) -> Row:
    """The k first items of the day's trends, of one kind of item or the kinds in turn."""
    kinds = KINDS if kind is None else (kind,)
    lists = await _load(published.reader, [("trending", each) for each in kinds])
    rows = [{"kind": each, **row} for each, found in zip(kinds, lists, strict=True) for row in found or []]
    rows.sort(key=lambda row: (row["rank"], row["kind"]))
    if category is not None:
        cards = await _load(published.reader, [("items", row["item_id"]) for row in rows])
        rows = [row for row, card in zip(rows, cards, strict=True) if category.lower() in _folded(card)]
    rows = rows[:k]
    if details:
        await _add_details(published.reader, rows)
    return {"as_of": published.day("trending"), "items": rows}


async def person(published: Published, user_id: str) -> Row | None:
    """A user's segment, community, influence, interests and whom to follow; null for what is not published. None for an unknown
    user."""
    found = await _load(published.reader, [(export, user_id) for export in _PEOPLE])
    if all(value is None for value in found):
        return None
    named = dict(zip(("segment", "community", "influence", "interests", "follows"), found, strict=True))
    return {"user_id": user_id, "as_of": published.day("segments"), **named}


async def segments(published: Published, user_ids: Sequence[str]) -> list[Row]:
    """The segment of each user, null for an unknown one."""
    found = await _load(published.reader, [("segments", user) for user in user_ids])
    return [{"user_id": user, **(value or {"segment_id": None, "segment_name": None})} for user, value in
            zip(user_ids, found, strict=True)]  # fmt: skip


async def search(published: Published, words: str, filters: Mapping[str, str], k: int, offset: int) -> Row:
    """Items that have all words and pass all filters (hashtag, category, kind), the popular first; `matches` is how many.

    At most MAX_WORDS words count, and the 10,000 most popular items of each.
    """
    tokens = [*dict.fromkeys(_WORD.findall(words.lower()))][:MAX_WORDS]
    tokens += [f"{name}:{value.strip().removeprefix('#').lower()}" for name, value in filters.items()]
    if not tokens:
        return {"matches": 0, "items": []}
    lists = await _load(published.reader, [("words", token) for token in tokens])
    if any(found is None for found in lists):
        return {"matches": 0, "items": []}
    shortest, *others = sorted(lists, key=len)
    sets = [set(each) for each in others]
    items = [item for item in shortest if all(item in each for each in sets)]
    rows: list[Row] = [{"item_id": item} for item in items[offset : offset + k]]
    await _add_details(published.reader, rows)
    return {"matches": len(items), "items": rows}


async def search_elsewhere(
    published: Published, source: SearchSource, words: str, filters: Mapping[str, str], k: int, offset: int
) -> Row:
    """As `search`, by a search engine: all items count, the best match first; titles and categories are those of `published`.

    Without words and filters nothing is found. Raises StoreError where the engine does not answer.
    """
    tokens = _WORD.findall(words)[:MAX_WORDS]
    if not tokens and not filters:
        return {"matches": 0, "items": []}
    matches, found = await source.find(" ".join(tokens), filters, k, offset)
    rows: list[Row] = [{"item_id": item} for item in found]
    await _add_details(published.reader, rows)
    return {"matches": matches, "items": rows}


async def _popular(published: Published, user_id: str, k: int, category: str | None, had: set[str]) -> list[Row]:
    """Popular items that are not in `had` and that the user has not met."""
    seen = (await _load(published.reader, [("seen", user_id)]))[0]
    had = had | set(seen or ())
    rows: list[Row] = []
    for row in published.popular:
        if len(rows) == k:
            break
        if row["item_id"] not in had and (category is None or category.lower() in row["categories"]):
            rows.append(_POPULAR | {"item_id": row["item_id"], "score": row["score"]})
    return rows


async def _reranked(reader: Reader, rows: list[Row], session: Sequence[str]) -> list[Row]:
    """The rows by reciprocal rank fusion of their place and of those among the neighbours of the session's items, of which the
    newest counts most. Stable: rows without a neighbour keep their order."""
    neighbours = await _load(reader, [("similar", item) for item in session])
    gain: dict[str, float] = {}
    for age, found in enumerate(neighbours):
        for place, row in enumerate(_distinct(found or []), 1):
            gain[row["item_id"]] = gain.get(row["item_id"], 0.0) + 2.0**-age / (FUSION + place)
    return sorted(rows, key=lambda row: -(1.0 / (FUSION + row["rank"]) + gain.get(row["item_id"], 0.0)))


async def _add_details(reader: Reader, rows: Sequence[Row]) -> None:
    """Add what people read: title, kind, owner and categories of each item, and the sentence of its reason."""
    wanted = [("items", row["item_id"]) for row in rows]
    because = [row["because_item_id"] for row in rows if row.get("because_item_id")]
    cards = await _load(reader, [*wanted, *(("items", item) for item in because)])
    named = {item: card or {} for item, card in zip([*(key for _, key in wanted), *because], cards, strict=True)}
    for row in rows:
        card = named[row["item_id"]]
        row |= {"title": card.get("title"), "kind_of_item": card.get("kind"), "owner_id": card.get("owner_id"),
                "categories": card.get("categories") or [], "hashtags": card.get("hashtags") or []}  # fmt: skip
        if "reason_code" in row:
            about = row["because_item_id"]
            row["reason"] = rendered(row["reason_code"], (named[about].get("title") or about) if about else None)


async def _load(reader: Reader, wanted: Sequence[Wanted]) -> list[Any]:
    """The parsed values."""
    found = await reader.get_many(wanted) if wanted else []
    return [None if value is None else orjson.loads(value) for value in found]


def _distinct(rows: Iterable[Row]) -> list[Row]:
    """The first row of each item."""
    found: dict[str, Row] = {}
    for row in rows:
        found.setdefault(row["item_id"], row)
    return list(found.values())


def _folded(card: Mapping[str, Any] | None) -> set[str]:
    """The categories of an item in lower case."""
    return {category.lower() for category in (card or {}).get("categories") or ()}
