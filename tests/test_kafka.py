"""Where to read and as whom: open options from settings, secrets from the environment only, and neither ever in a message."""

from __future__ import annotations

import pytest
from shoal.broker import free_ports
from shoal.conf import StreamEventsConf, load
from shoal.errors import TransientError, UsageError
from shoal.kafka import client_secrets, reach, source_options

LOGIN = {"SHOAL_KAFKA_USERNAME": "u", "SHOAL_KAFKA_PASSWORD": "hidden"}


def conf(*sets: str) -> StreamEventsConf:
    return load("local", ["topic=t", "bootstrap_servers=h:9092", *sets], "stream_events").stream_events


def test_open_options_come_from_settings() -> None:
    sets = ("kafka.security.protocol=SASL_SSL", "kafka.fetch.max.wait.ms=7", "group=g", "starting_offsets=latest", "max_offsets=7")
    assert source_options(conf(*sets), {}, False) == {
        "kafka.security.protocol": "SASL_SSL", "kafka.fetch.max.wait.ms": "7", "kafka.bootstrap.servers": "h:9092",
        "kafka.group.id": "g", "subscribe": "t",
        "startingOffsets": "latest", "maxOffsetsPerTrigger": "7", "failOnDataLoss": "true",
    }  # fmt: skip
    assert source_options(conf("starting_offsets=latest"), {}, True)["startingOffsets"] == "earliest"


def test_secrets_come_from_the_environment() -> None:
    user = {"SHOAL_KAFKA_USERNAME": 'a"b', "SHOAL_KAFKA_PASSWORD": "c\\d", "SHOAL_KAFKA_SSL_KEY_PASSWORD": "e"}
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    assert client_secrets(conf("kafka.sasl.mechanism=SCRAM-SHA-512"), user) == {
        "ssl.key.password": "e", "sasl.jaas.config": f'{module} required username="a\\"b" password="c\\\\d";',
    }  # fmt: skip
    whole = {**user, "SHOAL_KAFKA_SASL_JAAS_CONFIG": "as it is"}
    assert client_secrets(conf(), whole)["sasl.jaas.config"] == "as it is"
    assert client_secrets(conf(), {}) == {}


@pytest.mark.parametrize(
    ("sets", "environ", "says"),
    [
        (["kafka.sasl.jaas.config=x"], {}, "kafka.sasl.jaas.config: secrets are no settings"),
        (["kafka.ssl.key.password=hidden"], {}, "kafka.ssl.key.password: secrets are no settings"),
        (["kafka.anything=a password=hidden"], {}, "kafka.anything: secrets are no settings"),
        (["kafka.group.id=g"], {}, "kafka.group.id: the stream decides this itself"),
        (["topic=null"], {}, "source=kafka needs a topic: --set topic=NAME"),
        (["bootstrap_servers=null"], {}, "source=kafka needs a bootstrap_servers: --set bootstrap_servers=HOST:PORT"),
        ([], {"SHOAL_KAFKA_PASSWORD": "hidden"}, "the environment has SHOAL_KAFKA_PASSWORD alone"),
        (["kafka.sasl.mechanism=GSSAPI"], LOGIN, "kafka.sasl.mechanism=GSSAPI takes no user and password"),
    ],
)
def test_mistakes_are_told_without_a_value(sets: list[str], environ: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError) as error:
        source_options(conf(*sets), environ, False)
    assert says in str(error.value)
    assert "hidden" not in str(error.value)


def test_servers_that_do_not_answer_are_named() -> None:
    port = free_ports(1)[0]
    with pytest.raises(TransientError, match=f"Kafka cannot be reached at 127.0.0.1:{port} "):
        reach(f"127.0.0.1:{port}", seconds=2)
    with pytest.raises(UsageError, match="found 'nowhere', expected host:port"):
        reach("nowhere")
