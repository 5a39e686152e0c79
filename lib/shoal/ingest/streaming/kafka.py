"""Where Spark's Kafka source reads, and as whom: open settings from conf, secrets from the environment; and what a
refusal by Kafka means to the one who ran the job."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping

from pyspark.sql import SparkSession

from shoal.conf.sections import StreamEventsConf
from shoal.errors import InputError, ShoalError, TransientError, UsageError, one_line

# Kafka's own names of what is secret, by the environment variable that holds it.
LOGIN = "SHOAL_KAFKA_SASL_JAAS_CONFIG"
SECRETS = {
    LOGIN: "sasl.jaas.config",
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
# Kafka's own default takes no user and password.
_MECHANISM = "PLAIN"
_ANSWER_SECONDS = 20
_CONFIG = "kafka.common.config.ConfigException"


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
        mechanism = conf.kafka.get("sasl.mechanism", _MECHANISM)
        if mechanism not in _LOGIN_MODULES:
            refused = f"kafka.sasl.mechanism={mechanism} takes no user and password; its login goes into {LOGIN}"
            raise UsageError(refused)
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
    is_login_ours = environ.get(USER) and not environ.get(LOGIN)
    client = ({"sasl.mechanism": _MECHANISM} if is_login_ours else {}) | conf.kafka | client_secrets(conf, environ)
    options = {f"kafka.{name}": value for name, value in client.items()}
    options |= {
        "kafka.bootstrap.servers": conf.bootstrap_servers,
        "subscribe": conf.topic,
        "startingOffsets": "earliest" if earliest else conf.starting_offsets,
        "maxOffsetsPerTrigger": str(conf.max_offsets_per_trigger),
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


def refuse_unreadable(spark: SparkSession, conf: StreamEventsConf, environ: Mapping[str, str]) -> None:
    """Ask once how far the topic goes, as the stream will. Raises what `refusal` makes of a failure: before anything is written,
    and in seconds, where a stream asks three times and waits a minute each time for a port that speaks another protocol."""
    options = source_options(conf, environ, earliest=True) | {"fetchOffset.numRetries": "1"}
    del options["maxOffsetsPerTrigger"]
    waits = dict.fromkeys(("kafka.default.api.timeout.ms", "kafka.request.timeout.ms"), str(_ANSWER_SECONDS * 1000))
    if not waits.keys() & options.keys():
        options |= waits
    try:
        # Offsets are asked for when partitions are planned; no message is read.
        spark.read.format("kafka").options(**options).load().rdd.getNumPartitions()
    except Exception as error:
        known = as_told(error, conf, environ, refusal)
        if isinstance(known, TransientError):
            protocol = conf.kafka.get("security.protocol", "PLAINTEXT")
            known = TransientError(
                f"Kafka at {conf.bootstrap_servers} takes connections and gives no answer; nothing was written. "
                f"If what it speaks there is {protocol} (kafka.security.protocol), run this again"
            )
        if known is None:
            raise
        raise known from None


def as_told(
    error: Exception,
    conf: StreamEventsConf,
    environ: Mapping[str, str],
    known: Callable[[str, StreamEventsConf], ShoalError | None],
) -> ShoalError | None:
    """What is `known` of a failure by its text without secrets; of an unknown one that held a secret the first line; else None:
    the error may be shown as it is."""
    text = without_secrets(str(error), conf, environ)
    found = known(text, conf)
    return ShoalError(one_line(Exception(text))) if found is None and text != str(error) else found


def without_secrets(text: str, conf: StreamEventsConf, environ: Mapping[str, str]) -> str:
    """The text with *** for each secret."""
    for secret in [*client_secrets(conf, environ).values(), environ.get(PASSWORD)]:
        text = text.replace(secret, "***") if secret else text
    return text


def refusal(text: str, conf: StreamEventsConf) -> ShoalError | None:
    """What a failure to read means, by its text, which is a trace or a line of one; None where Kafka did not refuse us."""
    cause, where = _cause(text), f"topic {conf.topic} at {conf.bootstrap_servers}"
    if "Failed to create new KafkaAdminClient" in text or "ailed to construct kafka consumer" in text or _CONFIG in text:
        if "JAAS" in text:
            # Kafka repeats words of a login that it does not understand.
            cause = f"the login is missing or none; set {USER} and {PASSWORD}, or {LOGIN}"
        return UsageError(f"{where}: Kafka's client cannot be made with these settings{cause and ': '}{cause}")
    for mark, why in (("SaslAuthentication", "the login was refused"), ("SaslMechanism", "the login was refused"),
                      ("IllegalSaslState", "the login was refused"), ("SslAuthentication", "TLS was refused"),
                      ("AuthorizationException", "the user may not read this, or there is no such topic")):  # fmt: skip
        if mark in text:
            shown = f" ({cause})" if cause and mark != "AuthorizationException" else ""
            return UsageError(f"{where}: {why}{shown}; see docs/stream.md on security")
    if "UnknownTopicOrPartition" in text:
        return InputError(f"topic {conf.topic}: {conf.bootstrap_servers} has no such topic")
    if any(mark in text for mark in ("TimeoutException", "DisconnectException", "KafkaAdminClient thread has exited")):
        return TransientError(f"Kafka at {conf.bootstrap_servers} stopped answering; nothing is lost, run this again")
    return None


def _cause(trace: str) -> str:
    """The innermost cause that a Java trace names, as "class: message" or only the message, which says enough where it is a
    sentence; empty where the text has no trace."""
    found = re.findall(r"^(?:Caused by)?: (?:[\w$]+\.)+([\w$]+)(?:: (.*))?$", trace, re.MULTILINE)
    if not found:
        return ""
    name, message = found[-1]
    return message if " " in message else f"{name}: {message}".removesuffix(": ")
