"""Where to read and as whom: open options from settings, secrets from the environment only, and neither ever in a message."""

from __future__ import annotations

import pytest
from shoal.conf.loading import load
from shoal.conf.sections import StreamEventsConf
from shoal.errors import InputError, TransientError, UsageError
from shoal.ingest.streaming.kafka import client_secrets, reach, refusal, source_options, without_secrets
from shoal.testing.node import free_ports

LOGIN = {"SHOAL_KAFKA_USERNAME": "u", "SHOAL_KAFKA_PASSWORD": "hidden"}


def conf(*sets: str) -> StreamEventsConf:
    return load("local", ["topic=t", "bootstrap_servers=h:9092", *sets], "stream_events").stream_events


def test_open_options_come_from_settings() -> None:
    sets = (
        "kafka.security.protocol=SASL_SSL",
        "kafka.fetch.max.wait.ms=7",
        "group=g",
        "starting_offsets=latest",
        "max_offsets_per_trigger=7",
    )
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


def test_a_login_without_a_mechanism_is_plain_to_kafka_too() -> None:
    assert source_options(conf(), LOGIN, False)["kafka.sasl.mechanism"] == "PLAIN"
    assert source_options(conf("kafka.sasl.mechanism=SCRAM-SHA-256"), LOGIN, False)["kafka.sasl.mechanism"] == "SCRAM-SHA-256"
    assert "kafka.sasl.mechanism" not in source_options(conf(), {"SHOAL_KAFKA_SASL_JAAS_CONFIG": "as it is"}, False)


TRACE = """An error occurred while calling o1.javaToPython.
: org.apache.kafka.common.KafkaException: Failed to create new KafkaAdminClient
\tat org.apache.kafka.clients.admin.KafkaAdminClient.createInternal(KafkaAdminClient.java:545)
Caused by: org.apache.kafka.common.KafkaException: Failed to load SSL keystore
\t... 18 more
Caused by: java.nio.file.NoSuchFileException: ca.pem
\tat java.base/sun.nio.fs.UnixException.translateToIOException(UnixException.java:92)
"""
ERRORS = "org.apache.kafka.common.errors."


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        (TRACE, UsageError, "Kafka's client cannot be made with these settings: NoSuchFileException: ca.pem"),
        (TRACE.replace("ca.pem", "hidden in JAAS"), UsageError, "settings: the login is missing or none; set SHOAL_KAFKA_USERNAME"),
        (f"[STREAM_FAILED] {ERRORS}SaslAuthenticationException: no", UsageError, ": the login was refused; see docs/stream.md"),
        # A client that is refused while it waits for something else says both.
        (f"{ERRORS}TimeoutException\nCaused by: {ERRORS}SslAuthenticationException: no trust", UsageError, "refused (no trust)"),
        (f"{ERRORS}TopicAuthorizationException", UsageError, "the user may not read this, or there is no such topic"),
        (f"{ERRORS}UnknownTopicOrPartitionException", InputError, "topic t: h:9092 has no such topic"),
        (f"{ERRORS}TimeoutException", TransientError, "Kafka at h:9092 stopped answering"),
    ],
)
def test_a_refusal_is_told_by_its_innermost_cause(text: str, kind: type[Exception], says: str) -> None:
    reported = refusal(text, conf())
    assert type(reported) is kind
    assert says in str(reported)
    assert "hidden" not in str(reported)
    assert refusal("java.lang.IllegalStateException: of something else", conf()) is None


def test_secrets_are_taken_out_of_a_text() -> None:
    whole = client_secrets(conf(), LOGIN)["sasl.jaas.config"]
    assert without_secrets(f"options {whole} and hidden, u", conf(), LOGIN) == "options *** and ***, u"


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
