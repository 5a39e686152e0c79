"""Certificates of an hour, made where a test needs them: an authority, and what it signs for a server or a client at 127.0.0.1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from ipaddress import IPv4Address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Signed:
    """A key and its certificate, as objects and as PEM."""

    private: ec.EllipticCurvePrivateKey
    signed: x509.Certificate

    @property
    def key(self) -> str:
        """The key, PKCS #8 without a password."""
        return self._key(serialization.NoEncryption())

    def key_under(self, password: str) -> str:
        """The key, PKCS #8 encrypted with the password."""
        return self._key(serialization.BestAvailableEncryption(password.encode()))

    def store(self, password: str) -> bytes:
        """The key and the certificate as a PKCS #12 store."""
        encryption = serialization.BestAvailableEncryption(password.encode())
        return pkcs12.serialize_key_and_certificates(b"client", self.private, self.signed, None, encryption)

    def _key(self, encryption: serialization.KeySerializationEncryption) -> str:
        return self.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()

    @property
    def certificate(self) -> str:
        """The certificate."""
        return self.signed.public_bytes(serialization.Encoding.PEM).decode()


def signed(name: str, by: Signed | None = None, address: str = "127.0.0.1") -> Signed:
    """A certificate of that name for that address, signed by an authority; without one it is an authority itself."""
    private, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(by.signed.subject if by else subject)
        .public_key(private.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(address))]), critical=False)
    )  # fmt: skip
    return Signed(private, made.sign(by.private if by else private, hashes.SHA256()))
