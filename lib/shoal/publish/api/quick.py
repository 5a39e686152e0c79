"""The most frequent request without the framework: GET /recommendations of a user, and a length. All others go on to the
application, which answers this one alike; its checking of parameters would be most of the request's time."""

from __future__ import annotations

from collections.abc import MutableMapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote_plus

import orjson

from shoal.publish.api.answers import recommend
from shoal.publish.api.events import RecentEvents
from shoal.publish.api.gate import App, Receive, Send
from shoal.publish.api.live import Live
from shoal.publish.api.schemas import MAX_K
from shoal.publish.api.sources import StoreError

PATH, K = "/recommendations", 20
_ROUTE = SimpleNamespace(path=PATH)
_HEADERS = (b"content-type", b"application/json")


class QuickLists:
    """The application, with the shortcut before it."""

    def __init__(self, app: App, live: Live, recent: RecentEvents) -> None:
        self.app, self.live, self.recent = app, live, recent

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on: other paths, parameters and values, and a store that is away."""
        asked = None
        if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "GET":
            asked = parameters(scope["query_string"])
        if asked is None:
            await self.app(scope, receive, send)
            return
        user_id, k = asked
        try:
            published = self.live.published
            found = await recommend(published, user_id, k, None, self.recent.of(user_id), False)
        except StoreError:
            await self.app(scope, receive, send)
            return
        body = orjson.dumps({"version": published.version, "stale": published.reader.is_stale, **found})
        scope["route"] = _ROUTE
        headers = [_HEADERS, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def parameters(query: bytes) -> tuple[str, int] | None:
    """user_id and k of a query that has each once at most and nothing else, both as the application takes them; None for any other.

    >>> parameters(b"user_id=u%2F1&k=5"), parameters(b"user_id=a"), parameters(b"user_id=a&k=0"), parameters(b"k=5")
    (('u/1', 5), ('a', 20), None, None)
    """
    given: dict[str, str] = {}
    try:
        pairs = query.decode("ascii").split("&")
        for pair in pairs:
            name, _, value = pair.partition("=")
            if name not in ("user_id", "k") or name in given:
                return None
            given[name] = unquote_plus(value, errors="strict") if "%" in value or "+" in value else value
    except UnicodeDecodeError:
        return None
    user_id, k = given.get("user_id", ""), given.get("k", str(K))
    if not 1 <= len(user_id) <= 1000 or not (k.isascii() and k.isdigit() and len(k) <= 4 and 1 <= int(k) <= MAX_K):
        return None
    return user_id, int(k)
