"""The end points. Each takes what it needs from the open version; limits and tokens are the gate's (shoal.publish.api.gate)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import orjson
from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from shoal import __version__
from shoal.conf.sections import Settings
from shoal.mine.posts.plain_engagement import Post
from shoal.publish.api import answers, quick, schemas, scoring
from shoal.publish.api.events import EventsAwayError, RecentEvents, Sink
from shoal.publish.api.gate import INTERNAL, error_body
from shoal.publish.api.live import Live
from shoal.publish.api.schemas import MAX_K, Id
from shoal.publish.api.search_source import SearchSource
from shoal.publish.api.sources import StoreError

PAGE = Path(__file__).resolve().parent / "page"
# A file of events is given to the stream after so many seconds.
EVENTS_SECONDS = 5.0
# An event may be so far ahead of the server's clock: clocks differ by minutes, not by days.
AHEAD = timedelta(minutes=5)
# Threads that score texts: the event loop answers look-ups meanwhile.
SCORING_THREADS = 2
_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=timezone.utc), datetime(2200, 1, 1, tzinfo=timezone.utc)
_PAGES = {"/": ("index.html", "text/html"), "/page.css": ("page.css", "text/css"), "/page.js": ("page.js", "text/javascript")}
K = Annotated[int, Query(ge=1, le=MAX_K, description=f"length of the list, 1 to {MAX_K}", examples=[10])]
Details = Annotated[bool, Query(description="titles, categories and the reason's sentence too")]
_OF_CATEGORY = "items of this category only, in any case"
Category = Annotated[Optional[str], Query(max_length=200, description=_OF_CATEGORY, examples=["travel"])]
UserId = Annotated[Id, Query(description="the user, as the lake knows them", examples=["u0000"])]
_FAULTS = {
    400: "the body is not JSON", 401: "no token, or one that is not known", 403: "the token has no such scope",
    413: "the body is too large", 422: "a value is out of range", 429: "too many requests",
    503: "the store does not answer, or the model is not there", 504: "no answer in time",
}  # fmt: skip
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorBody, "description": about} for status, about in _FAULTS.items()
}
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": schemas.ErrorBody, "description": "not in the published version"}}


@dataclass(frozen=True)
class Parts:
    """What the end points share."""

    live: Live
    recent: RecentEvents
    inbox: Sink
    settings: Settings
    clock: Callable[[], datetime]
    scorers: ThreadPoolExecutor
    # publish.search_url; None: words are looked up in the published version.
    search: SearchSource | None


def create_app(live: Live, inbox: Sink, settings: Settings, clock: Callable[[], datetime]) -> FastAPI:
    """The application, whose version is followed while it runs. `app.state.recent`: the newest events."""
    search_url = settings.publish.search_url
    engine = None if search_url is None else SearchSource(search_url)
    parts = Parts(live, RecentEvents(), inbox, settings, clock, ThreadPoolExecutor(SCORING_THREADS, "scoring"), engine)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        for event in inbox.known():
            parts.recent.add(event["user_id"], event["item_id"], event["event"])
        tasks = [asyncio.create_task(live.follow()), asyncio.create_task(_give_events(inbox))]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.get_running_loop().run_in_executor(None, inbox.close)
        parts.scorers.shutdown(wait=False, cancel_futures=True)
        await live.source.close()

    app = FastAPI(
        title="Shoal", version=__version__, docs_url=None, redoc_url=None, lifespan=life, responses=_ERRORS,
        redirect_slashes=False,
        description="Lists, neighbours, trends, people, scores of a published lake. Bearer tokens with scopes read, score, write.",
    )  # fmt: skip
    app.state.recent = parts.recent
    for router in (_lists(parts), _scores(parts), _events(parts), _own(parts)):
        app.include_router(router)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(StoreError, _away)
    app.add_exception_handler(Exception, _refused)
    return app


async def _give_events(inbox: Sink) -> None:
    while True:
        await asyncio.sleep(EVENTS_SECONDS)
        inbox.close_file()


def _lists(parts: Parts) -> APIRouter:
    """What is looked up: scope read."""
    router, live = APIRouter(tags=["read"]), parts.live

    async def recommendations(user_id: UserId, k: K = quick.K, category: Category = None, details: Details = False) -> Response:
        """The user's list, without what the user has met since; popular items for a user without one."""
        published = live.published
        return _answer(published, await answers.recommend(published, user_id, k, category, parts.recent.of(user_id), details))

    for path in ("/recommendations", "/api/ml/recommendations"):
        router.get(path, response_model=schemas.Recommendations)(recommendations)

    @router.get("/similar/{item_id:path}", response_model=schemas.Similar, responses=_NOT_FOUND)
    async def similar(item_id: Id, k: K = 20, kind: Optional[str] = None, details: Details = False) -> Response:
        """Items that the same people met, then such of like words, looks and price."""
        published = live.published
        return _answer(published, _known(await answers.similar(published, item_id, k, kind, details), "item"))

    @router.get("/trending", response_model=schemas.Trending)
    async def trending(
        k: K = 20, kind: Optional[Literal["post", "product", "film", "tweet", "other"]] = None, category: Category = None,
        details: Details = False,
    ) -> Response:  # fmt: skip
        """Items that people turn to now, of one kind or of all."""
        published = live.published
        return _answer(published, await answers.trending(published, k, kind, category, details))

    @router.get("/people/{user_id:path}", response_model=schemas.Person, responses=_NOT_FOUND)
    async def people(user_id: Id) -> Response:
        """A user's segment, community, influence, interests, and whom to follow."""
        published = live.published
        return _answer(published, _known(await answers.person(published, user_id), "user"))

    @router.get("/search", response_model=schemas.Found)
    async def search(
        q: Annotated[str, Query(max_length=1000, description="words, all of which an item has", examples=["mountain trail"])] = "",
        hashtag: Annotated[Optional[str], Query(max_length=200)] = None, category: Category = None,
        kind: Annotated[Optional[str], Query(max_length=50)] = None, k: K = 20, offset: Annotated[int, Query(ge=0, le=10_000)] = 0,
    ) -> Response:  # fmt: skip
        """Items by words, hashtag, category and kind, the popular first."""
        given = {"hashtag": hashtag, "category": category, "kind": kind}
        filters = {name: value for name, value in given.items() if value}
        published = live.published
        if parts.search is not None:
            return _answer(published, await answers.search_elsewhere(published, parts.search, q, filters, k, offset))
        return _answer(published, await answers.search(published, q, filters, k, offset))

    return router


def _scores(parts: Parts) -> APIRouter:
    """What is scored: scope score."""
    router, live, settings = APIRouter(tags=["score"]), parts.live, parts.settings

    async def scored(work: Callable[..., Any], *arguments: Any) -> Response:
        found = await asyncio.get_running_loop().run_in_executor(parts.scorers, work, *arguments)
        return _json(found)

    def model_of(task: str) -> Any:
        """The published model of a task; None without one. 503 where only Spark can score it."""
        model = live.published.models.get(task)
        if isinstance(model, scoring.Unscorable):
            raise HTTPException(503, model.reason)
        return model

    async def sentiment(body: schemas.Texts) -> Response:
        """Sentiment by the published model, by the lexicon without one; emotion where a model of it is published."""
        emotions = live.published.models.get(scoring.EMOTION)
        return await scored(scoring.sentiment, body.texts, model_of("sentiment"), settings, emotions)

    async def moderation(body: schemas.Texts) -> Response:
        """What is to be removed or reviewed, and which words say so."""
        model = model_of("moderation")
        if model is None:
            raise HTTPException(503, "no moderation model is published; `shoal run train_moderation` trains one from decisions")
        return await scored(scoring.moderation, body.texts, model, settings)

    async def engagement(body: schemas.Posts) -> Response:
        """Likes and comments of posts with intervals. What is known of an author are the earlier posts of the body that have likes;
        none is looked up."""
        model = model_of(scoring.ENGAGEMENT)
        if model is None:
            raise HTTPException(503, "no engagement model is published; `shoal run train_posts` trains one from posts with likes")
        now = parts.clock()
        return await scored(scoring.engagement, [_post(post, now) for post in body.posts], model, settings)

    for name, handler, answer in (
        ("sentiment", sentiment, schemas.Sentiments), ("moderation", moderation, schemas.Scores),
        ("predict/engagement", engagement, schemas.Scores),
    ):  # fmt: skip
        for path in (f"/api/v1/ml/{name}", f"/api/ml/{name}"):
            router.post(path, response_model=answer)(handler)

    @router.post("/api/v1/ml/segment/users", response_model=schemas.Segments)
    async def segment(body: schemas.Users) -> Response:
        """The published segment of each user."""
        published = live.published
        return _answer(published, {"results": await answers.segments(published, body.user_ids)})

    @router.post("/api/v1/ml/detect/anomalies", response_model=schemas.Anomalies)
    async def anomalies(body: schemas.Series) -> Response:
        """Moments of a series that are unlike the same hours or weekdays before them."""
        moments = [_utc(moment.measured_at) for moment in body.series]
        if not all(_EARLIEST <= moment <= _LATEST for moment in moments):
            raise HTTPException(422, "measured_at: expected a time from 1900 to 2200; numbers are seconds")
        micros = [int(moment.timestamp() * 1_000_000) for moment in moments]
        return await scored(scoring.anomalies, micros, [moment.value for moment in body.series], settings)

    return router


def _events(parts: Parts) -> APIRouter:
    """What is written: scope write."""
    router = APIRouter(tags=["write"])

    @router.post("/events", status_code=202, response_model=schemas.Accepted)
    async def events(body: schemas.Events) -> Response:
        """Events for the stream; their items leave the users' lists at once. 202: they are on the disk, or Kafka has them. 503:
        repeat the request with the same event_ids."""
        now, rows = parts.clock(), []
        for event in body.events:
            at = _utc(event.occurred_at) if event.occurred_at else now
            if not _EARLIEST <= at <= now + AHEAD:
                raise HTTPException(422, "occurred_at: expected a time from 1900 to now, by the server's clock")
            rows.append({"event_id": event.event_id or uuid.uuid4().hex, "user_id": event.user_id, "item_id": event.item_id,
                         "event": event.event, "occurred_at": at.isoformat(),
                         **({} if event.value is None else {"value": event.value})})  # fmt: skip
        try:
            await parts.inbox.take(rows)
        except EventsAwayError as error:
            parts.live.metrics.counts["event_failures"] += 1
            raise HTTPException(503, f"events cannot be written: {error}", headers={"retry-after": "1"}) from None
        for event in body.events:
            parts.recent.add(event.user_id, event.item_id, event.event)
        parts.live.metrics.counts["events"] += len(rows)
        return _json({"accepted": len(rows)}, 202)

    return router


def _own(parts: Parts) -> APIRouter:
    """What the server says of itself, and the page."""
    router, live = APIRouter(tags=["server"]), parts.live

    @router.get("/health", response_model=schemas.Health)
    async def health() -> Response:
        """The process answers."""
        return _json({"status": "ok"})

    @router.get("/ready", response_model=schemas.Ready)
    async def ready() -> Response:
        """A version is open; `stale`: its store is away."""
        published = live.published
        return _json({"status": "ready", "version": published.version, "stale": published.reader.is_stale})

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Counters in Prometheus' text format: scope read."""
        version = live.published.version
        return Response(live.metrics.text(version, live.age_seconds), media_type="text/plain; version=0.0.4")

    async def page(request: Request) -> Response:
        name, kind = _PAGES[request.url.path]
        return Response((PAGE / name).read_bytes(), media_type=kind)

    for path in _PAGES:
        router.get(path, include_in_schema=False)(page)
    return router


def _answer(published: answers.Published, found: Mapping[str, Any]) -> Response:
    """An answer from a version."""
    return _json({"version": published.version, "stale": published.reader.is_stale, **found})


def _json(found: Mapping[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(found), status, media_type="application/json")


def _known(found: answers.Row | None, what: str) -> answers.Row:
    if found is None:
        raise HTTPException(404, f"no such {what} in the published version")
    return found


def _post(given: schemas.Post, now: datetime) -> Post:
    """A post of a body; one without a time appears now."""
    times = {"created_at": given.created_at or now, "author_created_at": given.author_created_at}
    for name, moment in times.items():
        if moment is not None and not _EARLIEST <= _utc(moment) <= _LATEST:
            raise HTTPException(422, f"{name}: expected a time from 1900 to 2200; numbers are seconds")
    facts = given.model_dump(exclude=set(times))
    since = None if given.author_created_at is None else _utc(given.author_created_at)
    return Post(**facts, created_at=_utc(given.created_at or now), author_created_at=since)


def _utc(moment: datetime) -> datetime:
    """The moment in UTC; one without a zone is in it."""
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)


async def _invalid(_: Request, error: Exception) -> Response:
    """422 with the first fault as one sentence; what was given is not repeated: it may be large, or no text at all."""
    fault = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": "not valid", "type": ""}
    where = ".".join(str(part) for part in fault["loc"][1:])[:200].encode("utf-8", "replace").decode()
    status = 400 if fault["type"] == "json_invalid" else 422
    said = "the body is not JSON" if status == 400 else f"{where or 'body'}: {fault['msg']}"
    return Response(error_body(status, said), status, media_type="application/json")


async def _refused(_: Request, error: Exception) -> Response:
    """The status of an exception, with its sentence."""
    known = isinstance(error, StarletteHTTPException)
    status, message = (error.status_code, str(error.detail)) if known else (500, INTERNAL)  # type: ignore[attr-defined]
    headers = dict(getattr(error, "headers", None) or {})
    return Response(error_body(status, message), status, headers, "application/json")


async def _away(_: Request, error: Exception) -> Response:
    """503: the store is away, and what was read before does not have the answer."""
    said = error_body(503, "the store does not answer; try again in a second")
    return Response(said, 503, {"retry-after": "1"}, "application/json")
