"""Does by hand what cert-manager does for our chart: a CA issuer, a self-signed one, cainjector.

The objects are checked by the real CustomResourceDefinitions. As the real one does, it writes a
renewed Secret in one step, without the earlier CA. It replaces the CA bundle at once, as
cert-manager before 1.19 does and as is harder for the webhook: later ones keep the earlier CA in
the bundle until it ends. ``make test-cert-manager`` runs the same test with the real one.
"""

from __future__ import annotations

import threading
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.values.meta import Object, Resource
from certs.objects import MUTATING, SECRET, VALIDATING
from certs.pki import SigningKey, own_certificate, private_key
from tests.controlplane.api import Api, NoAnswer, Refused
from tests.controlplane.crds import FOLDER
from tests.world import Admin

CERTIFICATE = Resource("cert-manager.io", "v1", "certificates", "Certificate")
ISSUER = Resource("cert-manager.io", "v1", "issuers", "Issuer")
LOOK_SECONDS = 0.05


def definitions() -> list[Object]:
    """Returns the CustomResourceDefinitions of the kinds that our chart creates."""
    return [
        yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
        for path in sorted((FOLDER / "cert-manager").glob("*.yaml"))
    ]


def renew(admin: Admin, name: str) -> None:
    """Asks for a new certificate, as ``cmctl renew`` does."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    certificate = admin.until(CERTIFICATE, name)
    kept = [c for c in certificate["status"]["conditions"] if c["type"] != "Issuing"]
    new = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "lastTransitionTime": now,
    }
    body = {"status": {"conditions": [*kept, new]}}
    admin.patch(CERTIFICATE, name, body, subresource="status")


class CertManager:
    """Issues the Certificates of one namespace and injects their CAs, until it is left.

    Args:
        api: the administrator's connection, of its own.
        namespace: where our chart is installed.
    """

    def __init__(self, api: Api, namespace: str) -> None:
        self._admin = Admin(api, namespace)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cert-manager")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                for certificate in self._admin.list(CERTIFICATE):
                    self._issue(certificate)
                for resource in (VALIDATING, MUTATING):
                    self._inject(resource)
            except (Refused, NoAnswer):
                continue  # somebody was quicker

    def _issue(self, certificate: Object) -> None:
        name, spec = certificate["metadata"]["name"], certificate["spec"]
        conditions = certificate.get("status", {}).get("conditions", ())
        is_asked = any((c["type"], c["status"]) == ("Issuing", "True") for c in conditions)
        secret = self._admin.get(SECRET, spec["secretName"])
        issuer = self._admin.get(ISSUER, spec["issuerRef"]["name"])
        if issuer is None or (secret and not is_asked):
            return
        policy = spec.get("privateKey", {}).get("rotationPolicy", "Always")
        old = private_key(b64decode(secret["data"]["tls.key"])) if secret else None
        key = old if old and policy == "Never" else ec.generate_private_key(ec.SECP256R1())
        if "selfSigned" in issuer["spec"]:
            cert = ca = _signed(spec, key, None, key)
        else:
            authority = self._admin.get(SECRET, issuer["spec"]["ca"]["secretName"])
            if authority is None:
                return
            ca = own_certificate(b64decode(authority["data"]["tls.crt"]))
            cert = _signed(spec, key, ca, private_key(b64decode(authority["data"]["tls.key"])))
        pem = serialization.Encoding.PEM
        form, encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        data = {
            "tls.crt": cert.public_bytes(pem),
            "tls.key": key.private_bytes(pem, form, encryption),
            "ca.crt": ca.public_bytes(pem),
        }
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {
                "name": spec["secretName"],
                "annotations": {"cert-manager.io/certificate-name": name},
            },
            "data": {key: b64encode(value).decode() for key, value in data.items()},
        }
        self._admin.put(SECRET, body)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": now}
        status = {"conditions": [ready]}
        self._admin.patch(CERTIFICATE, name, {"status": status}, subresource="status")

    def _inject(self, resource: Resource) -> None:
        for configuration in self._admin.list(resource):
            annotations = configuration["metadata"].get("annotations", {})
            source = annotations.get("cert-manager.io/inject-ca-from", "")
            namespace, _, name = source.partition("/")
            if namespace != self._admin.namespace:
                continue
            certificate = self._admin.get(CERTIFICATE, name)
            secret = certificate and self._admin.get(SECRET, certificate["spec"]["secretName"])
            if not secret:
                continue
            bundle = secret["data"]["ca.crt"]
            entries = configuration["webhooks"]
            if any(entry["clientConfig"].get("caBundle") != bundle for entry in entries):
                for entry in entries:
                    entry["clientConfig"]["caBundle"] = bundle
                path = resource.path(None, configuration["metadata"]["name"])
                self._admin.api.request("PUT", path, configuration)


def _signed(
    spec: Object, key: SigningKey, issuer: x509.Certificate | None, issuer_key: SigningKey
) -> x509.Certificate:
    """Returns the certificate that a Certificate asks for; self-signed if there is no issuer."""
    now = datetime.now(UTC)
    common = [spec["commonName"]] if "commonName" in spec else []
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(hours=int(spec["duration"].partition("h")[0])))
        .add_extension(
            x509.BasicConstraints(ca=spec.get("isCA", False), path_length=None), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if names := spec.get("dnsNames"):
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
