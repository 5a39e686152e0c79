"""New events to a topic: a real broker, one that does not answer for a while, one that is not there."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from shoal.errors import UsageError
from shoal.publish.api.server import topic_options
from shoal.publish.api.topic import Topic, TopicOptions, client_options
from shoal.testing.kafka_broker import Broker
from shoal.testing.node import free_ports, paused

from tests.publish.api.conftest import NOW, Client
from tests.publish.api.test_app import items, message, run

LOGIN = {"SHOAL_KAFKA_USERNAME": "u", "SHOAL_KAFKA_PASSWORD": "hidden"}


def event(number: int, item: str = "i2") -> dict[str, Any]:
    return {"user_id": "u1", "item_id": item, "event": "like", "event_id": f"e{number}"}


def messages(servers: str, topic: str) -> list[tuple[bytes, dict[str, Any]]]:
    """Key and value of every message, by partition."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test"})
    found: list[tuple[bytes, dict[str, Any]]] = []
    for partition in range(2):
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        consumer.assign([TopicPartition(topic, partition, low)])
        end = len(found) + high - low
        while len(found) < end:
            found += [(one.key(), json.loads(one.value())) for one in consumer.consume(100, 10) if one.error() is None]
    consumer.close()
    return found


@pytest.mark.slow
def test_events_are_in_the_topic_when_they_are_acknowledged_and_none_is_lost_while_kafka_is_away(
    client: Client, kafka_node: Broker
) -> None:
    servers = kafka_node.bootstrap_servers
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic("served", 2)])["served"].result(30)

    def topic() -> Topic:
        return Topic(TopicOptions(servers, "served"), {}, delivery_seconds=2.0)

    async def work() -> None:
        acknowledged = ["e1", "e2"]
        async with client(sink=topic()) as ask:
            assert (await ask.post("/events", json={"events": [event(1), event(2, "i9")]})).json() == {"accepted": 2}
            assert items(await ask.get("/recommendations", params={"user_id": "u1", "k": 3})) == ["i4", "i3", "i1"]
            with paused(kafka_node.pid):
                since = time.monotonic()
                refused = await ask.post("/events", json={"events": [event(3, "i1")]})
                assert message(refused, 503) == "events cannot be written: msg timed out" and time.monotonic() - since < 5
                assert refused.headers["retry-after"] == "1"
                # What was not taken is in the list still.
                assert items(await ask.get("/recommendations", params={"user_id": "u1", "k": 3})) == ["i4", "i3", "i1"]
            for number in range(4, 24):
                for _ in range(10):
                    answer = await ask.post("/events", json={"events": [event(number, "i4")]})
                    if answer.status_code == 202:
                        acknowledged.append(f"e{number}")
                        break
                    await asyncio.sleep(0.5)
            metrics = (await ask.get("/metrics")).text
            assert f"shoal_events_total {len(acknowledged)}" in metrics
        assert len(acknowledged) == 22
        found = messages(servers, "served")
        ids = [value["event_id"] for _, value in found]
        # e3 may be there: it was not acknowledged, and may have reached the broker. No acknowledged one is missing or doubled.
        assert sorted(i for i in ids if i != "e3") == sorted(acknowledged)
        assert {key for key, _ in found} == {b"u1"}
        assert found[0][1] == event(1) | {"occurred_at": NOW.isoformat()}
        # The next server knows them.
        async with client(sink=topic()) as ask:
            listed = items(await ask.get("/recommendations", params={"user_id": "u1", "k": 3}))
            assert listed[0] == "i3" and not {"i2", "i4", "i9"} & set(listed)

    run(work)


def test_a_broker_that_is_not_there_is_503_in_time_and_lists_are_served(client: Client) -> None:
    sink = Topic(TopicOptions(f"127.0.0.1:{free_ports(1)[0]}", "none"), {}, delivery_seconds=0.5)
    sink.known = lambda: []  # type: ignore[method-assign]

    async def work() -> None:
        async with client(sink=sink) as ask:
            answer = await ask.post("/events", json={"events": [event(1)]})
            assert message(answer, 503) == "events cannot be written: msg timed out" and answer.headers["retry-after"] == "1"
            assert items(await ask.get("/recommendations", params={"user_id": "u1", "k": 2})) == ["i1", "i2"]
            assert "shoal_event_failures_total 1" in (await ask.get("/metrics")).text

    run(work)


def test_a_full_queue_refuses_at_once(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    monkeypatch.setattr("shoal.publish.api.topic.MAX_WAITING", 5)
    sink = Topic(TopicOptions(f"127.0.0.1:{free_ports(1)[0]}", "none"), {}, delivery_seconds=60)
    sink.known = lambda: []  # type: ignore[method-assign]

    async def work() -> None:
        async with client(sink=sink) as ask:
            answer = await ask.post("/events", json={"events": [event(n) for n in range(6)]})
            assert message(answer, 503) == "events cannot be written: 5 events wait for Kafka already"

    run(work)


@pytest.mark.parametrize(
    ("options", "environ", "says"),
    [
        ({"sasl.password": "hidden"}, {}, "--events-option sasl.password: secrets are no options"),
        ({"ssl.key.pem": "hidden"}, {}, "--events-option ssl.key.pem: secrets are no options"),
        ({"acks": "0"}, {}, "--events-option acks: is fixed"),
        ({}, {"SHOAL_KAFKA_USERNAME": "u"}, "the environment has SHOAL_KAFKA_USERNAME alone"),
        ({"no.such": "1"}, {}, "--events-option: Kafka's client refuses the options"),
    ],
)
def test_wrong_options_are_one_line_without_a_secret(options: dict[str, str], environ: Mapping[str, str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        Topic(TopicOptions("h:1", "t", options), environ)
    assert str(caught.value).startswith(says) and "hidden" not in str(caught.value)


def test_a_login_comes_from_the_environment() -> None:
    given = TopicOptions("h:1", "t", {"security.protocol": "SASL_SSL"})
    assert client_options(given, LOGIN) == {
        "sasl.mechanism": "PLAIN", "security.protocol": "SASL_SSL", "sasl.username": "u", "sasl.password": "hidden",
        "bootstrap.servers": "h:1",
    }  # fmt: skip


def test_flags_belong_together() -> None:
    assert topic_options(None, None, []) is None
    assert topic_options("h:1", "t", ["a=b=c"]) == TopicOptions("h:1", "t", {"a": "b=c"})
    for given, says in [
        (("h:1", None, []), "--events-servers HOST:PORT and --events-topic NAME belong together"),
        (("h:1", "t t", []), "--events-topic t t: expected letters"),
        (("h:1", "t", ["x"]), "--events-option x: expected NAME=VALUE"),
    ]:
        with pytest.raises(UsageError, match=says):
            topic_options(*given)  # type: ignore[arg-type]
