"""What every request passes: security headers, the token and its scope, rates, sizes, the queue, the time-out, log and metrics.

A plain ASGI wrapper: a chain of framework middlewares would cost more than the answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import orjson

from shoal.publish.api.telemetry import Log, Metrics
from shoal.publish.api.tokens import READ, SCORE, WRITE, Door, Refused

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

# What everybody may ask: whether the server lives, what it offers, and the page, which holds no data.
OPEN = {"/health", "/ready", "/openapi.json", "/", "/page.css", "/page.js"}
_SCORED = ("/api/v1/ml/", "/api/ml/sentiment", "/api/ml/moderation")
HEADERS = [
    (b"x-content-type-options", b"nosniff"), (b"x-frame-options", b"DENY"), (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
                                 b"form-action 'none'; frame-ancestors 'none'"),
]  # fmt: skip
INTERNAL = "internal error; the server's log has its kind"
_HSTS = (b"strict-transport-security", b"max-age=31536000")


@dataclass(frozen=True)
class Limits:
    """What a request, a token and the server may take. Seconds and bytes."""

    body_bytes: int = 1_000_000
    rate_per_second: float = 2_000.0
    in_flight: int = 256
    timeout_seconds: float = 5.0


def needed_scope(path: str) -> str:
    """The scope that a request of this path needs."""
    if path == "/events":
        return WRITE
    return SCORE if path.startswith(_SCORED) else READ


class Rates:
    """A bucket of one second's requests a token."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self.left: dict[str, tuple[float, float]] = {}

    def take(self, name: str, at: float) -> bool:
        """Whether the token has a request left at this moment; takes it."""
        left, since = self.left.get(name, (self.per_second, at))
        left = min(self.per_second, left + (at - since) * self.per_second)
        allowed = left >= 1.0
        self.left[name] = (left - 1.0 if allowed else left, at)
        return allowed


class Gate:
    """The application behind its limits."""

    def __init__(self, app: App, door: Door, limits: Limits, metrics: Metrics, log: Log, is_tls: bool = False) -> None:
        self.app, self.door, self.limits, self.metrics, self.log = app, door, limits, metrics, log
        self.rates = Rates(limits.rate_per_second)
        self.headers = [*HEADERS, *([_HSTS] if is_tls else [])]

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, answer, name = time.perf_counter(), _Answer(send, self.headers), "none"
        self.metrics.in_flight += 1
        try:
            name = self._admit(scope)
            body = await self._body(scope, receive)
            await self._within_time(scope, _replayed(body, receive), answer)
        except Refused as refused:
            await answer.refuse(refused.status, refused.message)
        except Exception as error:  # noqa: BLE001 - the last line of defence: a clear answer, no trace
            self.log.write("error", error=type(error).__name__, route=_route(scope))
            await answer.refuse(500, INTERNAL)
        finally:
            self.metrics.in_flight -= 1
            seconds = time.perf_counter() - started
            self.metrics.observe(_route(scope), _method(scope), answer.status, seconds)
            self.log.write("request", route=_route(scope), method=_method(scope), status=answer.status, token=name,
                           ms=round(seconds * 1e3, 3))  # fmt: skip

    def _admit(self, scope: MutableMapping[str, Any]) -> str:
        """The name of the token. Raises Refused."""
        path: str = scope["path"]
        if path in OPEN:
            return "none"
        if self.metrics.in_flight > self.limits.in_flight:
            raise Refused(429, f"{self.limits.in_flight} requests are being answered; try again in a second")
        given = next((value for key, value in scope["headers"] if key == b"authorization"), None)
        name = self.door.admit(None if given is None else given.decode("latin-1"), needed_scope(path))
        if not self.rates.take(name, time.monotonic()):
            raise Refused(429, f"more than {self.limits.rate_per_second:g} requests in a second; try again in a second")
        return name

    async def _body(self, scope: MutableMapping[str, Any], receive: Receive) -> bytes | None:
        """The body, None where there is none. Raises Refused for one that is too large or does not arrive."""
        lengths = {key: value for key, value in scope["headers"] if key in (b"content-length", b"transfer-encoding")}
        if not lengths:
            return None
        given = lengths.get(b"content-length", b"0")
        most = self.limits.body_bytes
        if not given.isdigit() or int(given) > most:
            raise Refused(413, f"the body has {given.decode('latin-1')[:20]} bytes; expected at most {most}")
        deadline, body = time.monotonic() + self.limits.timeout_seconds, bytearray()
        while True:
            try:
                message = await asyncio.wait_for(receive(), max(0.001, deadline - time.monotonic()))
            except asyncio.TimeoutError:
                raise Refused(408, "the body did not arrive in time") from None
            body += message.get("body", b"")
            if len(body) > most:
                raise Refused(413, f"the body has more than {most} bytes; expected at most so many")
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return bytes(body)

    async def _within_time(self, scope: MutableMapping[str, Any], receive: Receive, answer: _Answer) -> None:
        """Run the application; its task is cancelled after the time-out."""
        task = asyncio.current_task()
        late: list[bool] = []

        def cancel() -> None:
            late.append(True)
            if task is not None:
                task.cancel()

        timer = asyncio.get_running_loop().call_later(self.limits.timeout_seconds, cancel)
        try:
            await self.app(scope, receive, answer.send)
        except asyncio.CancelledError:
            if not late:
                raise
            if task is not None and hasattr(task, "uncancel"):
                task.uncancel()
            raise Refused(504, f"no answer within {self.limits.timeout_seconds:g} seconds") from None
        finally:
            timer.cancel()


class _Answer:
    """What is sent: with the headers of every answer; a refusal only where nothing was sent yet."""

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._send, self._headers = send, headers
        self.status = 0

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._headers]
        await self._send(message)

    async def refuse(self, status: int, message: str) -> None:
        """Answer with an error, and when to come back."""
        if self.status:
            return
        headers = [(b"content-type", b"application/json")]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if status in (429, 503, 504):
            headers.append((b"retry-after", b"1"))
        if status in (408, 413):
            headers.append((b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": error_body(status, message)})


def error_body(status: int, message: str) -> bytes:
    """The JSON of an error."""
    return orjson.dumps({"error": {"status": status, "message": message}})


def _method(scope: MutableMapping[str, Any]) -> str:
    """The method where it is one of the usual ones: a metric must not grow with what is asked."""
    found = str(scope["method"])
    return found if found in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE") else "OTHER"


def _route(scope: MutableMapping[str, Any]) -> str:
    """The template of the path, never the path: it may hold a person's id."""
    route = scope.get("route")
    return str(getattr(route, "path", "unmatched"))


def _replayed(body: bytes | None, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read."""
    if body is None:
        return receive
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
