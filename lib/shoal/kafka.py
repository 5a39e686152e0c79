"""How Spark's Kafka source is told where to read and as whom: open settings from conf, secrets from the environment."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping

from shoal.conf import StreamEventsConf
from shoal.errors import TransientError, UsageError

# Kafka's own names of what is secret, by the environment variable that holds it.
SECRETS = {
    "SHOAL_KAFKA_SASL_JAAS_CONFIG": "sasl.jaas.config",
    "SHOAL_KAFKA_SSL_TRUSTSTORE_PASSWORD": "ssl.truststore.password",
    "SHOAL_KAFKA_SSL_KEYSTORE_PASSWORD": "ssl.keystore.password",
    "SHOAL_KAFKA_SSL_KEYSTORE_KEY": "ssl.keystore.key",
    "SHOAL_KAFKA_SSL_KEY_PASSWORD": "ssl.key.password",
}
USER, PASSWORD = "SHOAL_KAFKA_USERNAME", "SHOAL_KAFKA_PASSWORD"
_SECRET = re.compile(r"password|secret|jaas|token|credential|keystore\.key$", re.IGNORECASE)
# What the source decides itself; Spark refuses some of these with a stack trace and ignores others.
_OURS = re.compile(
    r"bootstrap\.servers|group\.id|auto\.offset\.reset|enable\.auto\.commit|(key|value)\.(de)?serializer|interceptor\.classes"
)
_LOGIN_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


def client_secrets(conf: StreamEventsConf, environ: Mapping[str, str]) -> dict[str, str]:
    """Kafka's secret options, from the environment: user and password as a login for sasl.mechanism, and those of SECRETS.

    Raises UsageError for a user without a password (or the reverse), and for a mechanism that has neither.
    """
    found = {option: environ[name] for name, option in SECRETS.items() if environ.get(name)}
    user, password = environ.get(USER, ""), environ.get(PASSWORD, "")
    if bool(user) != bool(password):
        alone = USER if user else PASSWORD
        raise UsageError(f"the environment has {alone} alone; expected {USER} and {PASSWORD} both, or neither")
    if user and "sasl.jaas.config" not in found:
        mechanism = conf.kafka.get("sasl.mechanism", "PLAIN")
        if mechanism not in _LOGIN_MODULES:
            told = f"kafka.sasl.mechanism={mechanism} takes no user and password; its login goes into {next(iter(SECRETS))}"
            raise UsageError(told)
        login = f'username="{_quoted(user)}" password="{_quoted(password)}"'
        found["sasl.jaas.config"] = f"{_LOGIN_MODULES[mechanism]} required {login};"
    return found


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def source_options(conf: StreamEventsConf, environ: Mapping[str, str], earliest: bool) -> dict[str, str]:
    """The options of `readStream.format("kafka")`. `earliest` overrides stream_events.starting_offsets.

    Raises UsageError where topic or servers are not set, where an option is secret or the source's own affair; a message
    never holds a value.
    """
    if not conf.topic or not conf.bootstrap_servers:
        missing = "topic" if not conf.topic else "bootstrap_servers"
        raise UsageError(f"source=kafka needs a {missing}: --set {missing}={'NAME' if missing == 'topic' else 'HOST:PORT'}")
    for name, value in conf.kafka.items():
        if _SECRET.search(name) or "password=" in value.lower():
            names = ", ".join([USER, PASSWORD, *SECRETS])
            raise UsageError(f"kafka.{name}: secrets are no settings, which are shown and logged; put it into one of {names}")
        if _OURS.fullmatch(name):
            raise UsageError(f"kafka.{name}: the stream decides this itself; see stream_events in conf/base.yaml")
    options = {f"kafka.{name}": value for name, value in (conf.kafka | client_secrets(conf, environ)).items()}
    options |= {
        "kafka.bootstrap.servers": conf.bootstrap_servers,
        "subscribe": conf.topic,
        "startingOffsets": "earliest" if earliest else conf.starting_offsets,
        "maxOffsetsPerTrigger": str(conf.max_offsets),
        # What the topic no longer has and we have not read is lost: an error, never silence.
        "failOnDataLoss": "true",
    }
    return options | ({"kafka.group.id": conf.group} if conf.group else {})


def reach(servers: str, seconds: float = 10) -> None:
    """Return when one of the servers takes a connection. Raises TransientError naming them where none does, UsageError for
    one that is not host:port. Kafka's own client tries for a minute and then tells of a timeout, of what it does not say."""
    faults = []
    for server in (s.strip() for s in servers.split(",")):
        host, separator, port = server.rpartition(":")
        if not separator or not host or not port.isdigit() or int(port) > 65535:
            raise UsageError(f"bootstrap_servers: found {server!r}, expected host:port")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=seconds):
                return
        except OSError as error:
            faults.append(f"{server} ({error.strerror or error})")
    raise TransientError(f"Kafka cannot be reached at {', '.join(faults)}; nothing was read, run this again")
