from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from certs.pki import (
    KeyPair,
    certificates,
    is_authority,
    is_issued_by,
    matches,
    new_authority,
    new_leaf,
    own_certificate,
    pem_of,
    private_key,
    server_names,
)
from certs.policy import serving_fault

BORN = datetime(2030, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = ["webhook.booster.svc", "webhook.booster.svc.cluster.local", "webhook"]
CA = new_authority("authority", BORN, 365 * DAY)
OTHER_CA = new_authority("authority", BORN, 365 * DAY)
LEAF = new_leaf(CA, NAMES, BORN, 30 * DAY)


def verify(leaf: KeyPair, trusted: bytes, name: str, at: datetime) -> None:
    """Verifies as strict clients do; the library's verifier demands all that web browsers do."""
    policy = PolicyBuilder().store(Store(certificates(trusted))).time(at)
    policy.build_server_verifier(x509.DNSName(name)).verify(own_certificate(leaf.cert), [])


@pytest.mark.parametrize("name", NAMES[:2])
def test_a_strict_client_trusts_the_leaf_by_each_of_its_names(name: str) -> None:
    verify(LEAF, CA.cert, name, BORN + DAY)


@pytest.mark.parametrize(
    ("trusted", "name", "at"),
    [
        pytest.param(OTHER_CA.cert, NAMES[0], BORN + DAY, id="another authority of this name"),
        pytest.param(CA.cert, "other.booster.svc", BORN + DAY, id="another name"),
        pytest.param(CA.cert, NAMES[0], BORN - timedelta(minutes=61), id="before it begins"),
        pytest.param(CA.cert, NAMES[0], BORN + 31 * DAY, id="after its end"),
    ],
)
def test_a_strict_client_refuses_the_leaf(trusted: bytes, name: str, at: datetime) -> None:
    with pytest.raises(VerificationError):
        verify(LEAF, trusted, name, at)


def test_both_authorities_of_a_bundle_are_told_apart_though_they_have_one_name() -> None:
    bundle = OTHER_CA.cert + CA.cert
    verify(LEAF, bundle, NAMES[0], BORN + DAY)
    verify(new_leaf(OTHER_CA, NAMES, BORN, DAY), bundle, NAMES[0], BORN)


def test_a_client_whose_clock_is_up_to_an_hour_late_trusts_a_new_leaf() -> None:
    verify(LEAF, CA.cert, NAMES[0], BORN - timedelta(minutes=59))


def test_the_leaf_carries_what_strict_verification_asks_for() -> None:
    leaf, ca = own_certificate(LEAF.cert), own_certificate(CA.cert)
    of = leaf.extensions.get_extension_for_class
    assert of(x509.BasicConstraints).critical
    assert not of(x509.BasicConstraints).value.ca
    assert of(x509.KeyUsage).critical
    assert of(x509.KeyUsage).value.digital_signature
    assert list(of(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    issuer_id = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert of(x509.AuthorityKeyIdentifier).value.key_identifier == issuer_id.digest
    assert of(x509.SubjectKeyIdentifier).value.digest != issuer_id.digest
    assert server_names(leaf) == set(NAMES)


def test_the_authority_signs_nothing_but_leaves() -> None:
    ca = own_certificate(CA.cert)
    of = ca.extensions.get_extension_for_class
    assert of(x509.BasicConstraints).critical
    assert of(x509.BasicConstraints).value.path_length == 0
    assert of(x509.KeyUsage).critical
    assert of(x509.KeyUsage).value.key_cert_sign
    assert not of(x509.KeyUsage).value.digital_signature
    assert is_authority(ca)
    assert not is_authority(own_certificate(LEAF.cert))


def test_a_leaf_ends_with_its_authority_at_the_latest() -> None:
    leaf = new_leaf(CA, NAMES, BORN + 360 * DAY, 30 * DAY)
    assert own_certificate(leaf.cert).not_valid_after_utc == BORN + 365 * DAY


def test_a_name_of_more_than_64_characters_still_gets_a_leaf() -> None:
    name = "a-release-with-a-very-long-name-webhook.a-namespace-with-a-very-long-name.svc"
    verify(new_leaf(CA, [name], BORN, DAY), CA.cert, name, BORN)


@pytest.mark.parametrize("address", ["192.0.2.10", "2001:db8::10"])
def test_a_strict_client_trusts_the_leaf_by_its_address(address: str) -> None:
    leaf = new_leaf(CA, [address, *NAMES], BORN, DAY)
    policy = PolicyBuilder().store(Store(certificates(CA.cert))).time(BORN)
    server = x509.IPAddress(ip_address(address))
    policy.build_server_verifier(server).verify(own_certificate(leaf.cert), [])
    assert serving_fault(leaf, [address], BORN) is None
    assert serving_fault(LEAF, [address], BORN) == f"it is not for the name {address}"


def test_a_key_matches_its_own_certificate_only() -> None:
    assert matches(own_certificate(CA.cert), private_key(CA.key))
    assert not matches(own_certificate(CA.cert), private_key(OTHER_CA.key))


def test_who_signed_is_found_by_the_signature_and_not_by_the_name() -> None:
    leaf = own_certificate(LEAF.cert)
    assert is_issued_by(leaf, own_certificate(CA.cert))
    assert not is_issued_by(leaf, own_certificate(OTHER_CA.cert))
    assert not is_issued_by(leaf, leaf)


@pytest.mark.parametrize(
    ("pem", "want"),
    [
        pytest.param(CA.cert + LEAF.cert, [CA, LEAF], id="in order"),
        pytest.param(CA.cert + CA.cert, [CA], id="no doubles"),
        pytest.param(b"# a comment\n" + CA.cert + b"junk", [CA], id="text around them"),
        pytest.param(CA.cert[:200] + b"\n" + LEAF.cert, [LEAF], id="a cut one spoils no other"),
        pytest.param(
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + CA.cert,
            [CA],
            id="nor does a bad one",
        ),
        pytest.param(CA.cert[:-30], [], id="truncated"),
        pytest.param(CA.key, [], id="a key"),
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"\x00\xff", [], id="binary"),
    ],
)
def test_certificates_reads_what_can_be_read(pem: bytes, want: list[KeyPair]) -> None:
    assert certificates(pem) == [own_certificate(pair.cert) for pair in want]


def test_pem_of_writes_what_certificates_reads() -> None:
    assert pem_of(certificates(CA.cert + LEAF.cert)) == CA.cert + LEAF.cert


def _as_pem(key: ed25519.Ed25519PrivateKey, password: bytes | None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    )


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(CA.key[:-40], id="truncated"),
        pytest.param(CA.cert, id="a certificate"),
        pytest.param(_as_pem(ed25519.Ed25519PrivateKey.generate(), b"secret"), id="encrypted"),
        pytest.param(_as_pem(ed25519.Ed25519PrivateKey.generate(), None), id="another kind"),
    ],
)
def test_a_key_that_cannot_be_used_is_a_value_error(pem: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the kind is what callers tell apart
        private_key(pem)


def test_a_pair_never_shows_its_key() -> None:
    for text in (repr(CA), str(CA), f"{CA}", f"{CA!r}"):
        assert "PRIVATE" not in text
        assert CA.key.decode() not in text
