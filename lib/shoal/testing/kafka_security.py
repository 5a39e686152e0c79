"""What a node of `shoal.testing.kafka_broker` needs to be a secured one: settings and users, for tests of clients that log in.

Its secrets are made by the test that starts it and lie in the node's folder; a user's password is an argument of the command that
formats that folder, and so seen by everybody who can list processes. Not for production.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# The listeners beside the open one, named as their protocols are: a login over TLS; TLS with a client's certificate.
LISTENERS = ("SASL_SSL", "SSL")
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


@dataclass(frozen=True)
class Security:
    """Who may log in, and the node's own certificate, as PEM: its key (PKCS #8) with its chain, and the authorities whose clients
    it lets in. Passwords and names are letters and digits."""

    users: Mapping[str, str]
    key_and_chain: str
    authorities: str


def secured_properties(folder: Path, security: Security) -> dict[str, str]:
    """The settings of the two secured listeners, written with their PEM files; PLAIN and SCRAM-SHA-256 take the same users.

    Who logs in may do nothing until an ACL says so; who comes by the open listener may do everything, and give ACLs.
    """
    keystore, truststore = folder / "server.pem", folder / "authorities.pem"
    for path, content in ((keystore, security.key_and_chain), (truststore, security.authorities)):
        path.touch(mode=0o600)
        path.write_text(content)
    protocols = ",".join(f"{name}:{name}" for name in ("PLAINTEXT", *LISTENERS))
    logins = "".join(f' user_{name}="{password}"' for name, password in security.users.items())
    return {
        "listener.security.protocol.map": f"{protocols},CONTROLLER:PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(truststore),
        "listener.name.ssl.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": f"{_PLAIN} required{logins};",
        "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": f"{_SCRAM} required;",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }


def scram_arguments(security: Security) -> list[str]:
    """Arguments for `StorageTool format`: a KRaft node has its SCRAM users from the day its folder is formatted."""
    return [part for name, password in security.users.items()
            for part in ("--add-scram", f"SCRAM-SHA-256=[name={name},password={password}]")]  # fmt: skip
