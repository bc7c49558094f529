"""The certificate changes under a running server: real sockets, real handshakes."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from certs.pki import KeyPair, new_authority, new_leaf, own_certificate, private_key
from webhook.tls import ServingContext

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("abandoned_handshakes")]

NAME = "webhook.booster.svc"
NOW = datetime.now(UTC)
CA = new_authority("ca", NOW, timedelta(days=1))


def leaf() -> KeyPair:
    return new_leaf(CA, [NAME], NOW, timedelta(hours=1))


def rsa_leaf() -> KeyPair:
    """A pair of another key type, as cert-manager or a hand may bring it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    made = own_certificate(leaf().cert)
    builder = x509.CertificateBuilder(
        issuer_name=made.issuer,
        subject_name=made.subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=made.not_valid_before_utc,
        not_valid_after=made.not_valid_after_utc,
        extensions=[e for e in made.extensions if e.oid != x509.SubjectKeyIdentifier.oid],
    )
    return KeyPair(
        builder.sign(private_key(CA.key), hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def client(change: Callable[[ssl.SSLContext], object] = lambda _: None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=CA.cert.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    change(context)
    return context


def without_sni(context: ssl.SSLContext) -> None:
    context.check_hostname = False


class Connection:
    """One open connection to the server, which sends back what it is sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @property
    def tls(self) -> ssl.SSLObject:
        found = self._writer.get_extra_info("ssl_object")
        assert isinstance(found, ssl.SSLObject)
        return found

    @property
    def served(self) -> x509.Certificate:
        der = self.tls.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der)

    async def echo(self, line: bytes) -> bytes:
        self._writer.write(line + b"\n")
        return (await self._reader.readline()).rstrip(b"\n")

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await self._writer.wait_closed()


@asynccontextmanager
async def server(serving: ServingContext) -> AsyncIterator["Server"]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    listening = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=serving.context)
    async with listening:
        yield Server(listening.sockets[0].getsockname()[1])


class Server:
    """Where the echo server listens."""

    def __init__(self, port: int) -> None:
        self._port = port

    @asynccontextmanager
    async def connection(
        self, tls: ssl.SSLContext, name: str | None = NAME
    ) -> AsyncIterator[Connection]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=tls, server_hostname=name
        )
        connection = Connection(reader, writer)
        try:
            yield connection
        finally:
            await connection.close()


async def test_handshake_without_certificate_fails_at_once(tmp_path: Path) -> None:
    async with server(ServingContext(tmp_path)) as here:
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(60), here.connection(client()):
                pass


async def test_new_connections_get_the_new_certificate(tmp_path: Path) -> None:
    serving = ServingContext(tmp_path)
    first, second = leaf(), leaf()
    serving.use(first)
    async with server(serving) as here, here.connection(client()) as old:
        assert old.served == own_certificate(first.cert)

        serving.use(second)

        assert await old.echo(b"still here") == b"still here"
        async with here.connection(client()) as new:
            assert new.served == own_certificate(second.cert)
            assert await new.echo(b"here too") == b"here too"


@pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"]
)
@pytest.mark.parametrize("kinds", ["ec to rsa", "rsa to ec"])
async def test_key_type_may_change(tmp_path: Path, kinds: str, version: ssl.TLSVersion) -> None:
    def only(context: ssl.SSLContext) -> None:
        context.minimum_version = context.maximum_version = version
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT

    serving = ServingContext(tmp_path)
    pairs = [leaf(), rsa_leaf()] if kinds == "ec to rsa" else [rsa_leaf(), leaf()]
    async with server(serving) as here:
        for pair in pairs:
            serving.use(pair)
            async with here.connection(client(only)) as new:
                assert new.served == own_certificate(pair.cert)
                assert new.tls.version() == version.name.replace("_", ".")


async def test_client_without_sni_gets_the_newest_certificate(tmp_path: Path) -> None:
    serving = ServingContext(tmp_path)
    pair = leaf()
    serving.use(leaf())
    serving.use(pair)
    async with (
        server(serving) as here,
        here.connection(client(without_sni), name="") as new,
    ):
        assert new.served == own_certificate(pair.cert)


async def test_protocol_is_http_1_1_even_if_http_2_is_offered(
    tmp_path: Path,
) -> None:
    serving = ServingContext(tmp_path)
    serving.use(leaf())
    offers = client(lambda context: context.set_alpn_protocols(["h2", "http/1.1"]))
    async with server(serving) as here, here.connection(offers) as new:
        assert new.tls.selected_alpn_protocol() == "http/1.1"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_tls_below_1_2_is_rejected(tmp_path: Path) -> None:
    def old(context: ssl.SSLContext) -> None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1

    serving = ServingContext(tmp_path)
    serving.use(leaf())
    async with server(serving) as here:
        # A client that could not speak it at all would fail with an SSLError of its own.
        with pytest.raises(ConnectionError):
            async with here.connection(client(old)):
                pass


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    "pair", [pytest.param(leaf(), id="EC"), pytest.param(rsa_leaf(), id="RSA")]
)
async def test_both_tls_versions_use_strong_ciphers_without_tickets(
    tmp_path: Path, version: ssl.TLSVersion, pair: KeyPair
) -> None:
    def only(context: ssl.SSLContext) -> None:
        context.minimum_version = context.maximum_version = version

    serving = ServingContext(tmp_path)
    serving.use(pair)
    async with server(serving) as here, here.connection(client(only)) as new:
        assert await new.echo(b"hello") == b"hello"  # a ticket would have come before it
        cipher = new.tls.cipher()
        assert cipher is not None
        assert "GCM" in cipher[0] or "CHACHA20" in cipher[0]
        assert new.tls.session is None or not new.tls.session.has_ticket


@pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256"])
async def test_weak_ciphers_are_refused(tmp_path: Path, cipher: str) -> None:
    """One without forward secrecy, and one that authenticates after it has decrypted."""

    def weak(context: ssl.SSLContext) -> None:
        context.set_ciphers(cipher)
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    serving = ServingContext(tmp_path)
    serving.use(leaf())
    async with server(serving) as here:
        with pytest.raises((ConnectionError, ssl.SSLError)):
            async with here.connection(client(weak)):
                pass


@pytest.mark.fault("F51")
@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(KeyPair(leaf().cert, leaf().key), id="mixed"),
        pytest.param(KeyPair(b"junk", leaf().key), id="no certificate"),
        pytest.param(KeyPair(leaf().cert, b""), id="no key"),
    ],
)
async def test_mismatched_pair_is_rejected_and_the_old_one_served(
    tmp_path: Path, bad: KeyPair
) -> None:
    serving = ServingContext(tmp_path)
    good = leaf()
    serving.use(good)
    with pytest.raises(ssl.SSLError):
        serving.use(bad)
    async with server(serving) as here, here.connection(client()) as new:
        assert new.served == own_certificate(good.cert)


async def test_no_key_remains_on_disk(tmp_path: Path) -> None:
    serving = ServingContext(tmp_path)
    serving.use(leaf())
    with pytest.raises(ssl.SSLError):
        serving.use(KeyPair(b"junk", leaf().key))
    assert os.listdir(tmp_path) == []
