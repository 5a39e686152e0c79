"""The project's own Kafka: it starts on free ports, answers a client that is not ours, ends by its own id, keeps its data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from shoal.errors import UsageError
from shoal.testing import kafka_broker as broker

from tests.conftest import kafka_or_skip


def first_message(servers: str, topic: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    try:
        found = consumer.poll(30)
        return found.value() if found is not None and not found.error() else None
    finally:
        consumer.close()


def test_no_cluster_is_called_like_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = [b"\xf8" * 16, b"\xff" * 16]
    monkeypatch.setattr("secrets.token_bytes", lambda size: draws.pop(0))
    # The first would be -Pj4..., which Kafka's command takes for an option.
    assert broker.cluster_id() == "_" * 21 + "w"


@pytest.mark.slow
def test_a_node_starts_answers_and_stops_and_keeps_what_it_was_given(tmp_path: Path) -> None:
    folder = tmp_path / "kafka"
    first = kafka_or_skip(folder)
    try:
        port = int(first.bootstrap_servers.rpartition(":")[2])
        assert broker.answers(port)
        assert broker.running_in(folder) == first
        with pytest.raises(UsageError, match="a broker runs in this folder already"):
            broker.start(folder)
        producer = Producer({"bootstrap.servers": first.bootstrap_servers})
        producer.produce("kept", b"one")
        assert producer.flush(30) == 0
    finally:
        assert broker.stop(folder)
    assert not broker.answers(port)
    assert not broker.stop(folder)
    second = broker.start(folder)
    try:
        assert first_message(second.bootstrap_servers, "kept") == b"one"
    finally:
        assert broker.stop(folder)


def test_another_process_with_the_noted_id_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "broker.pid").write_text(f"{os.getpid()} 127.0.0.1:1\n")
    assert broker.running_in(tmp_path) is None
    assert not broker.stop(tmp_path)


def test_the_command_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert broker.main(["begin"]) == 2
    assert capsys.readouterr().err == "shoal: python -m shoal.testing.kafka_broker takes `bring`, `start FOLDER` or `stop FOLDER`\n"
