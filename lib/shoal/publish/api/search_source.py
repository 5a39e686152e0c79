"""The search of an OpenSearch that `shoal publish --to search` fills."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from shoal.errors import one_line
from shoal.publish.api.sources import StoreError
from shoal.publish.stores.search_store import ITEMS, connect, search_body

# A search is given up after so many seconds; so many are asked at once, the others wait.
TIMEOUT_SECONDS, THREADS = 2.0, 8


class SearchSource:
    """Items by words and filters, from the version that serves at that moment: the alias moves in one step."""

    def __init__(self, url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.place = url
        self.client = connect(url, timeout_seconds)
        self._threads = ThreadPoolExecutor(THREADS, "search")

    async def find(self, words: str, filters: Mapping[str, str], k: int, offset: int) -> tuple[int, list[str]]:
        """How many items match, and the ids of at most k from `offset` on. Raises StoreError where the server does not answer."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._find, search_body(words, filters, k, offset))

    def _find(self, body: Mapping[str, object]) -> tuple[int, list[str]]:
        from opensearchpy.exceptions import OpenSearchException

        try:
            found = self.client.search(index=ITEMS, body=body)
        except OpenSearchException as error:
            raise StoreError(f"{self.place}: {one_line(error)}") from None
        hits = found["hits"]
        return int(hits["total"]["value"]), [hit["_source"]["item_id"] for hit in hits["hits"]]
