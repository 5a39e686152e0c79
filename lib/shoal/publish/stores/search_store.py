"""The store in OpenSearch: an index of items a version, and aliases that name the one that serves.

`shoal-<version>-documents` is an index (in small letters, as OpenSearch wants); `shoal-items` the alias that programs search; and
`shoal-serves-<version>` a second alias, which names the version: both move in one request. The index `shoal-manifests` has a
manifest a version. Documents that have not changed stay in the index of the version that wrote them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from shoal.errors import TransientError, UsageError, one_line
from shoal.publish.stores.manifest import Manifest, read_manifest, versions_beyond

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

NAME = "search"
PASSWORD = "SHOAL_SEARCH_PASSWORD"  # noqa: S105 - the variable's name
ITEMS, SERVES, MANIFESTS = "shoal-items", "shoal-serves-", "shoal-manifests"
# Documents of a bulk request, and its bytes: a document has at most some 10 KB.
BATCH_DOCUMENTS, BATCH_BYTES = 1_000, 10 << 20
TIMEOUT_SECONDS = 30.0
# Offset and length of a page: the server takes 10,000 and 1,000.
MAX_WINDOW = 11_000
# Versions that are listed: publish.keep_versions is smaller.
MAX_VERSIONS = 1_000
_KEYWORD, _TEXT = {"type": "keyword", "ignore_above": 8191}, {"type": "text"}
# What is searched and filtered; other fields of a document are an error. Hashtags, categories and kinds come in small letters.
MAPPING: Mapping[str, Any] = {
    "dynamic": "strict",
    "properties": {
        "item_id": _KEYWORD,
        "kind": _KEYWORD,
        "title": _TEXT,
        "text": _TEXT,
        "hashtags": {**_KEYWORD, "fields": {"words": _TEXT}},
        "categories": {**_KEYWORD, "fields": {"words": _TEXT}},
        "price_usd": {"type": "double"},
        "created_at": {"type": "date"},
        "popularity": {"type": "double"},
    },
}
Pair = tuple[bytes, bytes]


def connect(url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> OpenSearch:
    """A client of the server: the URL's user with the password of SHOAL_SEARCH_PASSWORD. Raises UsageError where the URL has a
    password, settings being shown and logged, or where one of user and password is missing."""
    from opensearchpy import OpenSearch

    parts = urlsplit(url)
    if parts.password:
        raise UsageError(f"publish.search_url: has a password in it; put it into {PASSWORD}")
    password = os.environ.get(PASSWORD)
    if bool(parts.username) != bool(password):
        raise UsageError(f"publish.search_url: a user in the URL and a password in {PASSWORD} are needed, or neither")
    secure = parts.scheme == "https"
    host = {"host": parts.hostname, "port": parts.port or (443 if secure else 9200), "url_prefix": parts.path.strip("/")}
    login: dict[str, Any] = {"http_auth": (parts.username, password)} if password else {}
    return OpenSearch([host], use_ssl=secure, verify_certs=True, timeout=timeout_seconds, max_retries=0, **login)


class SearchTarget:
    """The versions of an OpenSearch, as a publisher writes them."""

    name = NAME

    def __init__(self, url: str, grace_seconds: float) -> None:
        self.place, self.grace_seconds = url, grace_seconds
        self.client = connect(url)

    def current(self) -> Manifest | None:
        """The manifest of the version that serves; None where nothing was published."""
        with _answered(self.place):
            found = self.client.indices.get_alias(name=f"{SERVES}*", params={"ignore_unavailable": "true"})
        names = [alias.removeprefix(SERVES) for each in found.values() for alias in each["aliases"]]
        return self.manifest(names[0]) if names else None

    def manifest(self, version: str) -> Manifest:
        """The manifest of a version. Raises UsageError where the store does not have it."""
        with _answered(self.place):
            found = self.client.get(index=MANIFESTS, id=version, params={"ignore": [404]})
        if not found.get("found"):
            raise UsageError(f"{self.place}: there is no version {version}")
        return read_manifest(found["_source"]["manifest"], f"{self.place} {MANIFESTS}/{version}")

    def versions(self) -> list[str]:
        """The names of the whole versions, the oldest first."""
        with _answered(self.place):
            if not self.client.indices.exists(index=MANIFESTS):
                return []
            found = self.client.search(index=MANIFESTS, body={"size": MAX_VERSIONS, "_source": False})
        return sorted(hit["_id"] for hit in found["hits"]["hits"])

    def clean(self) -> list[str]:
        """Remove the indices that no manifest refers to, which a killed writer left, and return their names."""
        with _answered(self.place):
            there = set(self.client.indices.get_alias(index="shoal-*-documents"))
        left = sorted(there - {index for version in self.versions() for index in _indices(self.manifest(version))})
        self._remove(left)
        return left

    @contextmanager
    def building(self, version: str, previous: Manifest | None) -> Iterator[SearchBuilding]:
        """Write a new version in this block; the indices of one that was not finished are removed by `clean`."""
        with _answered(self.place):
            yield SearchBuilding(self.client, version)

    def switch(self, manifest: Manifest) -> None:
        """Make a whole version the current one: both aliases in one request."""
        wanted = {(_indices(manifest)[0], alias) for alias in (ITEMS, SERVES + manifest.version)}
        with _answered(self.place):
            there = self.client.indices.get_alias(index="shoal-*-documents")
            had = {(index, alias) for index, each in there.items() for alias in each["aliases"]}
            actions = [{"remove": {"index": index, "alias": alias}} for index, alias in sorted(had - wanted)]
            actions += [{"add": {"index": index, "alias": alias}} for index, alias in sorted(wanted - had)]
            if actions:
                self.client.indices.update_aliases(body={"actions": actions})

    def retire(self, keep: int, serving: Manifest) -> list[str]:
        """Forget the oldest versions but `keep` besides the one that serves; then, after the grace time, remove the indices that no
        version refers to."""
        gone, kept = versions_beyond(self.versions(), serving.version, keep)
        if not gone:
            return []
        used = {index for name in kept for index in _indices(self.manifest(name))}
        unused = {index for name in gone for index in _indices(self.manifest(name))} - used
        time.sleep(self.grace_seconds)
        with _answered(self.place):
            for name in gone:
                self.client.delete(index=MANIFESTS, id=name, params={"refresh": "true"})
        self._remove(sorted(unused))
        return gone

    def _remove(self, indices: list[str]) -> None:
        with _answered(self.place):
            for index in indices:
                self.client.indices.delete(index=index)


class SearchBuilding:
    """A version that is being written."""

    def __init__(self, client: OpenSearch, version: str) -> None:
        self.client, self.version = client, version
        self._written: list[str] = []

    def load(self, name: str, pairs: Iterable[Pair]) -> int:
        """Write an export into an index of its own, and return how many documents it has. Memory: a bulk request."""
        from opensearchpy import helpers

        index = index_name(self.version, name)
        # A copy on another machine where there is one; found by searches from `finish` on.
        settings = {"number_of_shards": 1, "auto_expand_replicas": "0-1", "refresh_interval": "-1", "max_result_window": MAX_WINDOW}
        self.client.indices.create(index=index, body={"settings": settings, "mappings": MAPPING})
        self._written.append(index)
        documents = (
            {"_op_type": "create", "_index": index, "_id": key.decode(), "_source": orjson.loads(value)} for key, value in pairs
        )
        rows = 0
        for _ in helpers.streaming_bulk(self.client, documents, chunk_size=BATCH_DOCUMENTS, max_chunk_bytes=BATCH_BYTES):
            rows += 1
        return rows

    def keep(self, name: str, since: str) -> None:
        """Nothing to do: the manifest refers to the version that wrote the export."""

    def finish(self, manifest: Manifest) -> int:
        """Make what was written searchable, then write the manifest: the version is whole. Returns the bytes of its indices."""
        for index in self._written:
            self.client.indices.put_settings(index=index, body={"index": {"refresh_interval": None}})
            self.client.indices.refresh(index=index)
        if not self.client.indices.exists(index=MANIFESTS):
            kept = {"dynamic": "strict", "properties": {"manifest": {"type": "keyword", "index": False, "doc_values": False}}}
            body = {"settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"}, "mappings": kept}
            self.client.indices.create(index=MANIFESTS, body=body)
        self.client.index(index=MANIFESTS, id=manifest.version, body={"manifest": manifest.text()}, params={"refresh": "true"})
        found = self.client.indices.stats(index=",".join(_indices(manifest)), metric="store")
        return int(found["_all"]["primaries"]["store"]["size_in_bytes"])


def index_name(version: str, export: str) -> str:
    """The index of an export, in small letters: OpenSearch takes no others."""
    return f"shoal-{version}-{export}".lower()


def search_body(words: str, filters: Mapping[str, str], k: int, offset: int) -> dict[str, Any]:
    """The request for documents that have all words, each in any field, and pass all filters (hashtag, category, kind).

    Sorted by BM25 (Robertson and Zaragoza 2009), a word of the title counting three times, times 1 + ln(1 + popularity); ties by
    item_id. Without words: by popularity.
    """
    fields = {"hashtag": "hashtags", "category": "categories", "kind": "kind"}
    chosen = [{"term": {fields[name]: value.strip().removeprefix("#").lower()}} for name, value in filters.items()]
    among = ["title^3", "text", "hashtags.words", "categories.words"]
    wanted: list[dict[str, Any]] = (
        [{"multi_match": {"query": words, "fields": among, "type": "cross_fields", "operator": "and"}}] if words.strip() else []
    )
    scored = {"function_score": {
        "query": {"bool": {"must": wanted, "filter": chosen}},
        "functions": [{"weight": 1.0}, {"field_value_factor": {"field": "popularity", "modifier": "ln1p", "missing": 0}}],
        "score_mode": "sum", "boost_mode": "multiply" if wanted else "replace",
    }}  # fmt: skip
    order = ["_score", {"item_id": "asc"}]
    return {"query": scored, "from": offset, "size": k, "sort": order, "track_total_hits": True, "_source": ["item_id"]}


def _indices(manifest: Manifest) -> list[str]:
    return [index_name(each.since, name) for name, each in manifest.exports.items()]


@contextmanager
def _answered(place: str) -> Iterator[None]:
    """Raise TransientError, one line, where the server is away, full or refuses."""
    from opensearchpy.exceptions import OpenSearchException

    try:
        yield
    except OpenSearchException as error:
        raise TransientError(f"{place}: {one_line(error)}") from error
