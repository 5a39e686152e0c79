"""New events to a Kafka topic, which `shoal run stream_events --set source=kafka` reads: acknowledged when the broker has them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from shoal.errors import UsageError
from shoal.publish.api.events import EventsAwayError, parsed_event

# Events that wait for the broker's answer; more are refused at once.
MAX_WAITING = 20_000
# The broker has so long to answer, less than the gate gives a request.
DELIVERY_SECONDS = 3.0
# Newest messages that a server reads when it starts, and how long it tries.
MAX_READ_EVENTS, READ_SECONDS = 100_000, 10.0
USER, PASSWORD = "SHOAL_KAFKA_USERNAME", "SHOAL_KAFKA_PASSWORD"
_SECRET = ("password", "jaas", "secret", "key.pem", "sasl.username", "oauthbearer")
# What keeps an acknowledged event from being lost or doubled is not to be set.
_FIXED = ("bootstrap.servers", "enable.idempotence", "acks", "message.timeout.ms", "delivery.timeout.ms", "transactional.id")


@dataclass(frozen=True)
class TopicOptions:
    """`servers`: host:port with commas; `options`: of librdkafka, as security.protocol, without secrets."""

    servers: str
    topic: str
    options: Mapping[str, str] = field(default_factory=dict)


def client_options(given: TopicOptions, environ: Mapping[str, str]) -> dict[str, str]:
    """The client's options, a login from the environment (SHOAL_KAFKA_USERNAME, SHOAL_KAFKA_PASSWORD). Raises UsageError for a
    secret among the options, which is not repeated, for one that is fixed, and for half a login."""
    for name in given.options:
        if any(part in name.lower() for part in _SECRET):
            raise UsageError(f"--events-option {name}: secrets are no options; set {USER} and {PASSWORD} in the environment")
        if name in _FIXED:
            raise UsageError(f"--events-option {name}: is fixed, so that no acknowledged event is lost")
    user, password = environ.get(USER, ""), environ.get(PASSWORD, "")
    if bool(user) != bool(password):
        raise UsageError(f"the environment has {USER if user else PASSWORD} alone; expected {USER} and {PASSWORD} both, or neither")
    login = {"sasl.username": user, "sasl.password": password} if user else {}
    mechanism = {"sasl.mechanism": "PLAIN"} if user else {}
    return {**mechanism, **given.options, **login, "bootstrap.servers": given.servers}


class Topic:
    """A topic that takes events: an idempotent producer whose queue is bounded. Messages have the user as their key, so that a
    user's events stay in order."""

    def __init__(self, given: TopicOptions, environ: Mapping[str, str], delivery_seconds: float = DELIVERY_SECONDS) -> None:
        self.topic, self.servers = given.topic, given.servers
        self._options = {**client_options(given, environ), "log_level": 0}
        self._delivery = {
            "enable.idempotence": True, "message.timeout.ms": int(delivery_seconds * 1000), "linger.ms": 2,
            "queue.buffering.max.messages": MAX_WAITING, "socket.connection.setup.timeout.ms": 2000,
            "reconnect.backoff.max.ms": 1000,
        }  # fmt: skip
        self._producer = self._open()
        self._stops = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="events-topic", daemon=True)
        self._poller.start()

    async def take(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Produce events, and return when the broker has all of them. Raises EventsAwayError where it has not, or not in time, or
        where MAX_WAITING events wait already; some of them may be in the topic then, and a repeated request with the same event_id
        is one event."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(loop, len(events))
        try:
            for event in events:
                key = event["user_id"].encode()
                self._producer.produce(self.topic, orjson.dumps(event), key=key, on_delivery=waiting.delivered)
        except BufferError:
            # Those that were taken are delivered or given up without anybody who waits.
            raise EventsAwayError(f"{MAX_WAITING:,} events wait for Kafka already") from None
        except self._errors as error:
            self._renew(error)
            raise EventsAwayError(_reason(error)) from None
        failed = await waiting.done
        if failed is not None:
            self._renew(failed)
            raise EventsAwayError(_reason(failed))

    def known(self) -> Iterable[dict[str, Any]]:
        """The newest events of the topic, the oldest of a partition first, MAX_READ_EVENTS at most; none where the topic cannot be
        read within READ_SECONDS. A message that is no event is passed by: the stream reports it."""
        from confluent_kafka import Consumer, KafkaException

        consumer = Consumer({**self._options, "group.id": "shoal-serve", "enable.auto.commit": False, "enable.partition.eof": True})
        try:
            left = self._assign(consumer)
            deadline = time.monotonic() + READ_SECONDS
            while left and time.monotonic() < deadline:
                for message in consumer.consume(1000, 0.5):
                    if message.error() is not None:
                        left.discard(message.partition())
                        continue
                    found = parsed_event(message.value() or b"")
                    if found is not None:
                        yield found
        except KafkaException:
            return
        finally:
            consumer.close()

    def close_file(self) -> None:
        """Nothing: a message is with the stream as soon as the broker has it."""

    def close(self) -> None:
        """Wait for what the broker has not answered yet, DELIVERY_SECONDS at most."""
        self._stops.set()
        self._poller.join(1)
        self._producer.flush(DELIVERY_SECONDS)

    def _assign(self, consumer: Any) -> set[int]:
        """Begin at the newest messages of each partition, and return the partitions that have any."""
        from confluent_kafka import TopicPartition

        found = consumer.list_topics(self.topic, timeout=READ_SECONDS / 2).topics[self.topic].partitions
        starts = []
        for partition in found:
            low, high = consumer.get_watermark_offsets(TopicPartition(self.topic, partition), timeout=READ_SECONDS / 2)
            if high > low:
                starts.append(TopicPartition(self.topic, partition, max(low, high - MAX_READ_EVENTS // len(found))))
        consumer.assign(starts)
        return {start.partition for start in starts}

    def _open(self) -> Any:
        from confluent_kafka import KafkaException, Producer

        self._errors = (KafkaException,)
        try:
            return Producer({**self._options, **self._delivery})
        except KafkaException as error:
            raise UsageError(f"--events-option: Kafka's client refuses the options: {_reason(error)}") from None

    def _renew(self, error: Any) -> None:
        """A producer that has lost its place for good is of no use any more."""
        fault = error.args[0] if isinstance(error, Exception) and error.args else error
        if getattr(fault, "fatal", lambda: False)():
            self._producer = self._open()

    def _poll(self) -> None:
        while not self._stops.is_set():
            self._producer.poll(0.1)


class _Waiting:
    """The deliveries of one request: `done` has the first error, or None when all are there."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        self.loop, self.left, self.failed = loop, count, None
        self.done: asyncio.Future[Any] = loop.create_future()

    def delivered(self, error: Any, _: Any) -> None:
        """Note a delivery; called in the thread that polls."""
        self.left -= 1
        self.failed = self.failed or error
        if not self.left:
            self.loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(self.failed)


def _reason(error: Any) -> str:
    """The client's own name of an error, which has no address and no secret in it."""
    fault = error.args[0] if isinstance(error, Exception) and error.args else error
    return str(fault.name()).strip("_").lower().replace("_", " ") if hasattr(fault, "name") else type(fault).__name__
