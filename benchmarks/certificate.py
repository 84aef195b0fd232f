"""A self-signed certificate for a TLS server on this machine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from requests.utils import DEFAULT_CA_BUNDLE_PATH


def make_certificate(folder: Path) -> Path:
    """Write cert.pem and key.pem for the server, and trusted.pem for clients; returns the path of trusted.pem.

    trusted.pem also contains the root certificates of requests: a client loads all of them, as for a public server.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
    certificate = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = certificate.public_bytes(Encoding.PEM)
    (folder / "cert.pem").write_bytes(public)
    trusted = folder / "trusted.pem"
    trusted.write_bytes(Path(DEFAULT_CA_BUNDLE_PATH).read_bytes() + public)
    return trusted


def server_certificate(trusted: Path) -> Path:
    """The path of the server's own certificate, without the root certificates."""
    return trusted.with_name("cert.pem")
