"""The certificates of a deployment: a private authority, and what NATS and PostgreSQL show to whoever connects.

The authority's key never leaves its folder, which no container is given. Where there is an authority's certificate and
no key, the certificates are the operator's own: nothing is made, and they have to be there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.errors import Misconfigured

NAMES: Final[dict[str, tuple[str, ...]]] = {
    "nats": ("nats", "nats-2", "nats-3", "localhost", "127.0.0.1"),
    "postgres": ("postgres", "localhost", "127.0.0.1"),
}
"""The servers, and the names under which each is reached; those of NATS also reach each other."""

AUTHORITY_DAYS: Final = 3650
SERVER_DAYS: Final = 365
RENEW_DAYS: Final = 90
"""A server's certificate that is valid no longer than this is made anew by the next `commons init`."""

_EARLIER: Final = timedelta(hours=1)
"""For clocks that are behind."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


def make_authority(now: datetime) -> Pair:
    """A new authority, which may sign certificates of servers and none of another authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Commons Ledger {now:%Y-%m-%d}")])
    certificate = (
        _begun(name, name, key, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pair(certificate, key)


def make_server(authority: Pair, names: Sequence[str], now: datetime, days: int = SERVER_DAYS) -> Pair:
    """A certificate for a server of these names. Raises Misconfigured when the authority cannot sign it."""
    try:
        issuer = x509.load_pem_x509_certificate(authority.certificate)
        issuer_key = serialization.load_pem_private_key(authority.key, None)
    except (ValueError, TypeError) as error:
        raise Misconfigured(f"The authority of the certificates cannot be used: {error}.") from error
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey) or issuer_key.public_key() != issuer.public_key():
        raise Misconfigured("The key of the authority, ca/ca.key, is not that of its certificate, ca/ca.crt.")
    if issuer.not_valid_after_utc < now + timedelta(days=days):
        raise Misconfigured(
            f"The authority of the certificates is valid until {issuer.not_valid_after_utc:%Y-%m-%d} alone. Remove the "
            "folder `ca`, run `commons init` again, and start everything anew."
        )
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    certificate = (
        _begun(subject, issuer.subject, key, now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([_name(one) for one in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return _pair(certificate, key)


def due(certificate: bytes, key: bytes, authority: bytes, names: Sequence[str], now: datetime) -> bool:
    """Whether a server's certificate has to be made anew: it ends soon, lacks a name, or is of another key or
    authority."""
    try:
        found, issuer = x509.load_pem_x509_certificate(certificate), x509.load_pem_x509_certificate(authority)
        found.verify_directly_issued_by(issuer)
        if serialization.load_pem_private_key(key, None).public_key() != found.public_key():
            return True  # whoever wrote them was stopped between the two
        has = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return True
    if not {_name(one) for one in names} <= set(has):
        return True
    return found.not_valid_after_utc < now + timedelta(days=RENEW_DAYS)


def check_own(server: str, certificate: bytes, key: bytes, now: datetime) -> None:
    """Check a certificate that is the operator's own. Raises Misconfigured when a server could not show it."""
    try:
        found = x509.load_pem_x509_certificate(certificate)
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise Misconfigured(f"{server}/server.crt or server.key cannot be read: {error}. PEM is asked for.") from error
    if private.public_key() != found.public_key():
        raise Misconfigured(f"{server}/server.key is not the key of {server}/server.crt.")
    if not found.not_valid_before_utc <= now < found.not_valid_after_utc:
        raise Misconfigured(
            f"{server}/server.crt is valid from {found.not_valid_before_utc:%Y-%m-%d} to "
            f"{found.not_valid_after_utc:%Y-%m-%d}. Put another in its place."
        )


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(
        certificate.public_bytes(Encoding.PEM), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
