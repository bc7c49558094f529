"""Creates, signs and reads keys and certificates. Pure except for the randomness of new keys.

Keys are EC P-256: creating and signing a pair takes well under a millisecond, with RSA tens of
milliseconds. Every certificate has the extensions that strict verification requires (key
identifiers, critical BasicConstraints and KeyUsage, SubjectAltName); newer TLS clients reject it
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.values.value import hashable_value

BACKDATE = timedelta(hours=1)
"""How far before its creation a certificate begins: the clock of a client may be behind ours."""

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
"""Key types that are accepted. New keys are EC."""


@hashable_value
class KeyPair:
    """A certificate and its private key.

    Args:
        cert: PEM. The first certificate belongs to the key; others may follow it.
        key: PEM of the private key, not encrypted. It is left out of ``repr``, so that no f-string
            or traceback writes it to a log.
    """

    cert: bytes
    key: bytes = field(repr=False)


def new_authority(name: str, now: datetime, life: timedelta) -> KeyPair:
    """Returns a new self-signed certificate authority.

    Clients distinguish authorities of the same name by their key identifiers.

    Args:
        name: the authority's common name, at most 64 characters.
        now: the present time, with a time zone.
        life: how long it is valid from now on.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    subject = _named(name)
    builder = (
        _builder(key.public_key(), now, now + life)
        .subject_name(subject)
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(_issued_by(identifier), critical=False)
    )
    return _signed(builder, key, key)


def new_leaf(authority: KeyPair, names: Sequence[str], now: datetime, life: timedelta) -> KeyPair:
    """Returns a new certificate for a TLS server, signed by ``authority``.

    It never ends after the authority.

    Args:
        authority: a valid authority (see ``certs.policy.authority_fault``).
        names: DNS names and IP addresses of the server. The first is also the common name.
        now: the present time, with a time zone.
        life: how long it is valid from now on.

    Raises:
        ValueError: the authority's PEM cannot be read.
    """
    issuer, issuer_key = own_certificate(authority.cert), private_key(authority.key)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(key.public_key(), now, min(now + life, issuer.not_valid_after_utc))
        .subject_name(_named(names[0]))
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(map(_alternative, names)), critical=False)
        .add_extension(_issued_by(_identifier(issuer)), critical=False)
    )
    return _signed(builder, key, issuer_key)


def certificates(pem: bytes) -> list[x509.Certificate]:
    """Returns the certificates in ``pem``, in order, without duplicates and unreadable ones."""
    return list(dict.fromkeys(_readable(pem)))


def own_certificate(pem: bytes) -> x509.Certificate:
    """Returns the first certificate of ``pem``.

    Raises:
        ValueError: there is none, or it cannot be read.
    """
    return x509.load_pem_x509_certificate(pem)


def private_key(pem: bytes) -> SigningKey:
    """Returns the private key in ``pem``.

    Raises:
        ValueError: it cannot be read, is encrypted, or is neither EC nor RSA.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError as exc:  # raised for a key with a password
        raise ValueError("the key is encrypted") from exc
    if not isinstance(key, SigningKey):
        raise ValueError("the key is neither EC nor RSA")
    return key


def matches(certificate: x509.Certificate, key: SigningKey) -> bool:
    """Whether the certificate belongs to the key."""
    return _public_bytes(certificate.public_key()) == _public_bytes(key.public_key())


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether the certificate may sign others and has a key identifier."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return constraints.value.ca and usage.value.key_cert_sign


def server_names(certificate: x509.Certificate) -> frozenset[str]:
    """Returns the DNS names and IP addresses in the certificate."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return frozenset()
    addresses = map(str, names.value.get_values_for_type(x509.IPAddress))
    return frozenset((*names.value.get_values_for_type(x509.DNSName), *addresses))


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's key signed the certificate."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def pem_of(chain: Sequence[x509.Certificate]) -> bytes:
    """Returns certificates as PEM, in the order given."""
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain)


_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


def _readable(pem: bytes) -> Iterator[x509.Certificate]:
    # One by one: the library's own reader rejects a whole bundle if one certificate is broken.
    for part in pem.split(_BEGIN)[1:]:
        body, end, _ = part.partition(_END)
        try:
            yield x509.load_pem_x509_certificate(_BEGIN + body + end)
        except ValueError:
            continue


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _named(name: str) -> x509.Name:
    # X.509 allows 64 characters. Clients check the SubjectAltName, not this name.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _builder(
    public_key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _identifier(issuer: x509.Certificate) -> x509.SubjectKeyIdentifier:
    try:
        return issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound as exc:
        raise ValueError("the authority has no key identifier") from exc


def _issued_by(identifier: x509.SubjectKeyIdentifier) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _signed(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: SigningKey,
) -> KeyPair:
    return KeyPair(
        cert=builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _public_bytes(key: CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
