"""Run the server: one process, one event loop, uvicorn. It imports no Spark."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from shoal.conf.loading import load
from shoal.conf.sections import PublishConf
from shoal.errors import InputError, TransientError, UsageError, one_line
from shoal.publish.api.app import create_app
from shoal.publish.api.events import Inbox, Sink
from shoal.publish.api.gate import Gate, Limits
from shoal.publish.api.live import Live
from shoal.publish.api.quick import QuickLists
from shoal.publish.api.sources import LmdbSource, Source, StoreError
from shoal.publish.api.telemetry import JsonHandler, Log, Metrics
from shoal.publish.api.tokens import VARIABLE, Door, Token, parse_tokens
from shoal.publish.api.topic import Topic, TopicOptions
from shoal.publish.stores.targets import client
from shoal.runner.clock import utc_now

# Seconds in which requests that are being answered may end after SIGTERM.
STOP_SECONDS = 10
# Connections that are held open; more are closed with 503 at once.
MAX_CONNECTIONS = 1_000


@dataclass(frozen=True)
class Options:
    """What `shoal serve` takes. `folder`: of published files; `events`: the folder that the stream reads, or the topic."""

    folder: Path
    events: Path
    host: str = "127.0.0.1"
    port: int = 8080
    is_open: bool = False
    certificate: Path | None = None
    key: Path | None = None
    env: str = "local"
    sets: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    topic: TopicOptions | None = None


def serve(options: Options) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code.

    Raises UsageError for options that cannot be meant, InputError where nothing was published, TransientError where the store
    does not answer or the port is taken.
    """
    tokens = _tokens(options)
    settings = load(options.env, options.sets)
    if (options.certificate is None) != (options.key is None):
        raise UsageError("--certificate and --key: TLS needs both")
    for path in (options.certificate, options.key):
        if path is not None and not path.is_file():
            raise UsageError(f"{path}: there is no such file")
    if settings.publish.search_url is not None:
        client("opensearchpy", "search")
    metrics, log = Metrics(), Log(utc_now)
    live = Live(open_source(options, settings.publish), options.folder / "models", metrics, log, utc_now)
    app = create_app(live, open_sink(options), settings, utc_now)
    quick = QuickLists(app, live, app.state.recent)
    gate = Gate(quick, Door(tokens, lambda: utc_now().date()), options.limits, metrics, log, options.certificate is not None)
    _log_to(log)
    config = uvicorn.Config(
        gate, host=options.host, port=options.port, log_config=None, access_log=False, server_header=False, date_header=True,
        limit_concurrency=MAX_CONNECTIONS, timeout_graceful_shutdown=STOP_SECONDS, timeout_keep_alive=30, lifespan="on",
        ssl_certfile=options.certificate, ssl_keyfile=options.key, loop="uvloop" if sys.platform != "win32" else "asyncio",
        proxy_headers=False,
    )  # fmt: skip
    scheme = "https" if options.certificate else "http"
    server = _Server(config, lambda: log.write(
        "serving", address=f"{scheme}://{options.host}:{options.port}", version=live.published.version, pid=os.getpid()
    ))  # fmt: skip
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) if hasattr(asyncio, "Runner") else _Runner() as runner:
            runner.run(_run(server, live, log))
    except StoreError as error:
        raise TransientError(f"{live.source.place}: {one_line(error)}") from None
    except SystemExit:
        raise TransientError(f"{options.host}:{options.port}: the address is taken or not allowed; --port takes another") from None
    except OSError as error:
        raise InputError(f"TLS: the certificate or its key cannot be read: {one_line(error)}") from None
    return 0


def open_sink(options: Options) -> Sink:
    """What takes new events. Raises UsageError for a client that is not installed or refuses its options, InputError for a folder
    that cannot be written."""
    if options.topic is None:
        return Inbox(options.events)
    client("confluent_kafka", "kafka")
    return Topic(options.topic, os.environ)


def topic_options(servers: str | None, topic: str | None, options: Sequence[str]) -> TopicOptions | None:
    """The topic of --events-servers, --events-topic and --events-option NAME=VALUE; None without any. Raises UsageError for one
    without the others."""
    if servers is None and topic is None and not options:
        return None
    if servers is None or topic is None:
        raise UsageError("--events-servers HOST:PORT and --events-topic NAME belong together")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", topic):
        raise UsageError(f"--events-topic {topic}: expected letters, digits, dots, hyphens and underscores")
    pairs = [option.partition("=") for option in options]
    wrong = next((name for name, sign, _ in pairs if not name or not sign), None)
    if wrong is not None:
        raise UsageError(f"--events-option {wrong}: expected NAME=VALUE")
    return TopicOptions(servers, topic, {name: value for name, _, value in pairs})


def open_source(options: Options, conf: PublishConf) -> Source:
    """The store that is read. Raises UsageError where its address or its client is missing."""
    if conf.target == "redis":
        if conf.redis_url is None:
            raise UsageError("publish.redis_url is not set; --url redis://HOST:PORT/0 names the server")
        client("redis", "redis")
        from shoal.publish.api.redis_source import RedisSource

        return RedisSource(conf.redis_url)
    if conf.target == "postgres":
        if conf.postgres_url is None:
            raise UsageError("publish.postgres_url is not set; --url postgresql://USER@HOST:PORT/DATABASE names the server")
        client("psycopg", "postgres")
        from shoal.publish.api.postgres_source import PostgresSource

        return PostgresSource(conf.postgres_url)
    return LmdbSource(options.folder / "lmdb")


async def _run(server: uvicorn.Server, live: Live, log: Log) -> None:
    await live.start()
    await server.serve()
    log.write("stopped")


class _Server(uvicorn.Server):
    """A server that says when it listens, and ends with exit code 0 after a signal: it was asked to."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self.listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self.listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at the first SIGTERM or SIGINT, at the second SIGINT at once."""
        before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


class _Runner:
    """asyncio.Runner for Python 3.10."""

    def __enter__(self) -> _Runner:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def run(self, work: object) -> None:
        """Run a coroutine."""
        asyncio.run(work)  # type: ignore[arg-type]


def _tokens(options: Options) -> list[Token] | None:
    """The tokens; None where everybody may ask."""
    text = os.environ.get(VARIABLE, "")
    if options.is_open:
        if not _is_loopback(options.host):
            raise UsageError(f"--open: serves without tokens, and only to this machine; --host {options.host} needs {VARIABLE}")
        return None
    if not text.strip():
        raise UsageError(f"{VARIABLE} is not set: name:token:scopes[:expiry], with commas between; --open serves without tokens")
    return parse_tokens(text)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _log_to(log: Log) -> None:
    """The libraries' warnings go into the same log."""
    handler = JsonHandler(log)
    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.WARNING)
