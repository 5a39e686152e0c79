"""A Kafka that wants a login or a certificate: with them every event comes, without them one line, soon, and no secret anywhere."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, AdminClient, ResourcePatternType, ResourceType
from pyspark.sql import SparkSession
from shoal.testing import kafka_broker as broker
from shoal.testing.kafka_security import Security

from tests.conftest import kafka_or_skip
from tests.jobs.ingest.test_stream_events import DAY, Flow, event
from tests.support.bytes_of_a_lake import places
from tests.support.certificates import Signed, signed

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[3] / "docs" / "stream.md"
TOPIC = "events"
IDS = sorted(f"e{i}" for i in range(20))
WRONG = secrets.token_hex(16)
SCRAM = "kafka.sasl.mechanism=SCRAM-SHA-256"
# Of a run on a machine that does something else too, after Spark is up. A refusal takes a second here; three minutes by Kafka's own
# limits.
SOON = 60


@dataclass(frozen=True)
class Secured:
    """The node with its users, who is known to it and who is not, and a folder with what a user of it would have: password,
    ca.pem, client.key, client.pem; other.pem is an authority that has nothing to do with it."""

    node: broker.Broker
    folder: Path
    users: dict[str, str]
    client: Signed
    foreign: Signed

    def login(self, name: str, password: str | None = None) -> dict[str, str]:
        return {"SHOAL_KAFKA_USERNAME": name, "SHOAL_KAFKA_PASSWORD": password or self.users[name]}

    def trusting(self, authority: str = "ca.pem") -> list[str]:
        return ["kafka.ssl.truststore.type=PEM", f"kafka.ssl.truststore.location={self.folder / authority}"]

    def with_login(self, *more: str) -> list[str]:
        return [f"bootstrap_servers={self.node.sasl_ssl}", "kafka.security.protocol=SASL_SSL", *self.trusting(), *more]

    def with_certificate(self, *more: str) -> list[str]:
        return [f"bootstrap_servers={self.node.ssl}", "kafka.security.protocol=SSL", *self.trusting(), *more]

    def secret(self) -> list[str]:
        """What must be nowhere: the passwords, and a line of the keys."""
        return [*self.users.values(), *(each.key.splitlines()[1] for each in (self.client, self.foreign))]

    def give(self, user: str, operation: AclOperation) -> None:
        """Let the user do that with the topic."""
        given = AclBinding(ResourceType.TOPIC, TOPIC, ResourcePatternType.LITERAL, user, "*", operation, AclPermissionType.ALLOW)
        admin = AdminClient({"bootstrap.servers": self.node.bootstrap_servers})
        admin.create_acls([given])[given].result(30)


@pytest.fixture(scope="module")
def secured(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A topic of twenty events that `reader` and the client's certificate may read; `guest` may log in, `looker` see that it is
    there."""
    folder, authority, other = tmp_path_factory.mktemp("secured"), signed("authority"), signed("other")
    users = {name: secrets.token_hex(16) for name in ("reader", "guest", "looker")}
    server, client, foreign = signed("node", authority), signed("client", authority), signed("client", other)
    for name, content in (("password", users["reader"]), ("ca.pem", authority.certificate), ("other.pem", other.certificate),
                          ("client.key", client.key), ("client.pem", client.certificate)):  # fmt: skip
        (folder / name).write_text(content)
    node = kafka_or_skip(folder / "kafka", Security(users, server.key + server.certificate, authority.certificate))
    try:
        made = Secured(node, folder, users, client, foreign)
        sender = Flow(spark, folder)
        sender.topic(node.bootstrap_servers, TOPIC)
        for partition in (0, 1):
            sender.send(partition, *(event(i) for i in range(partition, 20, 2)))
        made.give("User:reader", AclOperation.READ)
        made.give("User:CN=client", AclOperation.READ)
        made.give("User:looker", AclOperation.DESCRIBE)
        yield made
    finally:
        broker.stop(folder / "kafka")


@pytest.fixture
def flow(spark: SparkSession, secured: Secured, tmp_path: Path) -> Flow:
    made = Flow(spark, tmp_path)
    made.sets = ["source=kafka", f"topic={TOPIC}"]
    return made


def of_the_page(mark: str) -> str:
    """The commands of the page's one example that has `mark`."""
    found = [each for each in re.findall(r"^```\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL) if mark in each]
    assert len(found) == 1
    return found[0]


def typed(secured: Secured, commands: str, lake: Path) -> subprocess.CompletedProcess[str]:
    """The page's commands as a user types them, but for where the servers and the lake are, beside that user's files."""
    for written, here in (("shoal run", f"{sys.executable} -m shoal run"), ("--lake lake", f"--lake {lake} --as-of {DAY}"),
                          ("host1:9093", secured.node.sasl_ssl), ("host1:9094", secured.node.ssl)):  # fmt: skip
        commands = commands.replace(written, here)
    known = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        ["bash", "-c", commands.rstrip() + " --set spark.driver.memory=1g"], cwd=secured.folder, env=os.environ | known,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("mark", ["protocol=SASL_SSL", "protocol=SSL"])
def test_the_starts_that_the_page_shows_bring_every_event_and_tell_no_secret(secured: Secured, flow: Flow, mark: str) -> None:
    done = typed(secured, of_the_page(mark), flow.root)
    assert (done.returncode, done.stderr.count("ERROR")) == (0, 0), done.stderr
    assert flow.ids() == IDS
    assert flow.rows("ops.runs", "status") == [("succeeded",)]
    for secret in secured.secret():
        assert places(flow.root, secret) == []
        assert secret not in done.stdout + done.stderr


def test_a_login_that_is_refused_is_one_line_of_the_command(secured: Secured, flow: Flow) -> None:
    done = typed(secured, of_the_page("protocol=SASL_SSL").replace("$(cat password)", WRONG), flow.root)
    says = f" s: topic events at {secured.node.sasl_ssl}: the login was refused ("
    assert (done.returncode, done.stderr.count("\n"), says in done.stderr) == (2, 1, True), done.stderr
    assert WRONG not in done.stdout + done.stderr
    assert places(flow.root, WRONG) == []


def test_the_other_ways_in_bring_every_event_too(secured: Secured, flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, opened = flow.root, f"bootstrap_servers={secured.node.bootstrap_servers}"
    without_login = flow.run(opened)
    assert (without_login.message, flow.ids()) == (None, IDS)
    for name, value in secured.login("reader").items():
        monkeypatch.setenv(name, value)
    for sets in ([SCRAM], ["kafka.sasl.mechanism=PLAIN"], []):
        flow.root = lake.parent / f"lake-{len(list(lake.parent.iterdir()))}"
        result = flow.run(*secured.with_login(*sets))
        assert (result.exit_code, result.message, flow.ids()) == (0, None, IDS)
        assert [places(flow.root, secret) for secret in secured.secret()] == [[]] * 5


def test_a_key_may_be_in_a_store_under_a_password(secured: Secured, flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """As PEM under a password that OpenSSL chooses today Java 17 does not read it, which is one line too."""
    password, lake = secrets.token_hex(16), flow.root
    (secured.folder / "client.p12").write_bytes(secured.client.store(password))
    sets = secured.with_certificate(
        "kafka.ssl.keystore.type=PKCS12", f"kafka.ssl.keystore.location={secured.folder / 'client.p12'}"
    )
    for given, code in ((WRONG, 2), (password, 0)):
        flow.root = lake.parent / f"lake-{code}"
        monkeypatch.setenv("SHOAL_KAFKA_SSL_KEYSTORE_PASSWORD", given)
        result = flow.run(*sets)
        assert (result.exit_code, given in (result.message or "")) == (code, False), result.message
        assert code == 0 or "Kafka's client cannot be made with these settings: " in (result.message or "")
        assert places(flow.root, given) == []
    assert flow.ids() == IDS
    monkeypatch.setenv("SHOAL_KAFKA_SSL_KEYSTORE_KEY", secured.client.key_under(password))
    monkeypatch.setenv("SHOAL_KAFKA_SSL_KEY_PASSWORD", password)
    monkeypatch.delenv("SHOAL_KAFKA_SSL_KEYSTORE_PASSWORD")
    flow.root = lake.parent / "lake-pem"
    pem = ("kafka.ssl.keystore.type=PEM", f"kafka.ssl.keystore.certificate.chain={secured.client.certificate}")
    result = flow.run(*secured.with_certificate(*pem))
    assert (result.exit_code, "PBES2 SecretKeyFactory not available" in (result.message or "")) == (2, True), result.message
    assert (password in (result.message or ""), places(flow.root, password)) == (False, [])


def refusals(secured: Secured) -> Iterator[tuple[list[str], dict[str, str], int, str]]:
    """(settings, environment, exit code, what the line says) of starts that Kafka does not let in."""
    login, key = secured.login, {"SHOAL_KAFKA_SSL_KEYSTORE_KEY": secured.client.key}
    chain, pem = "kafka.ssl.keystore.certificate.chain=", "kafka.ssl.keystore.type=PEM"
    says = "the login was refused (Authentication failed during authentication due to invalid credentials"
    yield secured.with_login(SCRAM), login("reader", WRONG), 2, says
    yield secured.with_login(SCRAM), login("nobody", WRONG), 2, says
    says = "the login was refused (Authentication failed: Invalid username or password)"
    yield secured.with_login(), login("reader", WRONG), 2, says
    says = "the login was refused (Client SASL mechanism 'SCRAM-SHA-512' not enabled in the server, enabled mechanisms are ["
    yield secured.with_login("kafka.sasl.mechanism=SCRAM-SHA-512"), login("reader"), 2, says
    yield secured.with_login(SCRAM), login("guest"), 2, "the user may not read this, or there is no such topic"
    says = "TLS was refused (unable to find valid certification path to requested target)"
    yield secured.with_login(SCRAM, *secured.trusting("other.pem")), login("reader"), 2, says
    says = "TLS was refused (Received fatal alert: bad_certificate)"
    yield secured.with_certificate(), {}, 2, says
    # The node's certificate is for 127.0.0.1.
    named = f"bootstrap_servers={secured.node.sasl_ssl}".replace("127.0.0.1", "localhost")
    says = "TLS was refused (No name matching localhost found)"
    yield secured.with_login(SCRAM, named), login("reader"), 2, says
    says = "TLS was refused (Received fatal alert: bad_certificate)"
    foreign = {"SHOAL_KAFKA_SSL_KEYSTORE_KEY": secured.foreign.key}
    yield secured.with_certificate(pem, chain + secured.foreign.certificate), foreign, 2, says

    unusable = "Kafka's client cannot be made with these settings: "
    says = f"{unusable}the login is missing or none; set SHOAL_KAFKA_USERNAME and SHOAL_KAFKA_PASSWORD, or "
    yield secured.with_login(SCRAM), {}, 2, says
    yield secured.with_login(SCRAM), {"SHOAL_KAFKA_SASL_JAAS_CONFIG": f"module required {secured.users['reader']};"}, 2, says
    nowhere = "kafka.ssl.truststore.location=/nowhere.pem"
    yield secured.with_login(SCRAM, nowhere), login("reader"), 2, f"{unusable}NoSuchFileException: /nowhere.pem"
    yield secured.with_login("kafka.security.protocol=TLS"), {}, 2, f"{unusable}Invalid value TLS for configuration"
    yield secured.with_certificate(pem), key, 2, f"{unusable}SSL private key is specified, but certificate chain is not specified."
    no_key = {"SHOAL_KAFKA_SSL_KEYSTORE_KEY": secured.users["reader"]}
    says = f"{unusable}No matching PRIVATE KEY entries in PEM file"
    yield secured.with_certificate(pem, chain + secured.client.certificate), no_key, 2, says

    says = "takes connections and gives no answer; nothing was written. If what it speaks there is PLAINTEXT (kafka."
    yield [f"bootstrap_servers={secured.node.sasl_ssl}"], {}, 4, says


def test_who_is_refused_is_told_soon_and_why(secured: Secured, flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = flow.root
    # Of the one start that gets no answer.
    monkeypatch.setattr("shoal.ingest.streaming.kafka._ANSWER_SECONDS", 5)
    for number, (sets, environ, code, says) in enumerate(refusals(secured)):
        flow.root, clock = lake.parent / f"lake-{number}", time.monotonic()
        with monkeypatch.context() as own:
            for variable, value in environ.items():
                own.setenv(variable, value)
            result = flow.run(*sets)
        assert time.monotonic() - clock < SOON
        assert (result.exit_code, says in (result.message or "")) == (code, True), result.message
        # Its row in ops.runs is all that there is: the next start finds no stream that was begun.
        assert sorted(each.name for each in flow.root.iterdir()) == [".locks", "ops"]
        assert flow.rows("ops.runs", "status", "message") == [("failed", result.message)]
        for secret in [*secured.secret(), WRONG]:
            assert secret not in (result.message or "")
            assert places(flow.root, secret) == []


def test_a_right_that_is_given_later_lets_the_stream_go_on(secured: Secured, flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may see the topic and not read it gets as far as the first batch."""
    for variable, value in secured.login("looker").items():
        monkeypatch.setenv(variable, value)
    clock = time.monotonic()
    result = flow.run(*secured.with_login(SCRAM))
    assert time.monotonic() - clock < 2 * SOON
    assert (result.exit_code, "the user may not read this" in (result.message or "")) == (2, True), result.message
    secured.give("User:looker", AclOperation.READ)
    assert (flow.run(*secured.with_login(SCRAM)).message, flow.ids()) == (None, IDS)
    assert [places(flow.root, secret) for secret in secured.secret()] == [[]] * 5
