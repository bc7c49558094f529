"""The Secret and the webhook configurations that hold certificates, and their format."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator
from dataclasses import field

from app.values.meta import Object, Resource
from app.values.value import value
from certs.pki import KeyPair

SECRET = Resource("", "v1", "secrets", "Secret")
VALIDATING = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)
MUTATING = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    namespaced=False,
)

WEBHOOK_NAMES = frozenset(
    f"{verb}-modelbooster.workload.serving.volcano.sh"
    for verb in ("validate", "protect", "warn", "mutate")
)
"""Names of the webhooks in a configuration that call us. Other webhooks in it are not ours."""

BUNDLE_FROM = "workload.serving.volcano.sh/ca-bundle"
"""Annotation of a webhook configuration whose CA bundles the administrator writes."""

_OTHERS = (BUNDLE_FROM, "cert-manager.io/inject-ca-from")

MAX_WRITE_TRIES = 3
"""How often a write is tried when other writers change the object at the same time."""

_CERT, _KEY = "ca.crt", "ca.key"


@value
class WebhookObjects:
    """Names of the objects that hold certificates, and of the Service in front of the webhook.

    Args:
        namespace: namespace of the Service and the Secret.
        service: name of the Service.
        secret: name of the Secret that holds the certificate authority.
        validating: name of the ValidatingWebhookConfiguration.
        mutating: name of the MutatingWebhookConfiguration.
        metadata: labels and annotations of the Secret, used when it is created.
        host: DNS name or IP address by which the API server calls the webhook; if empty, it calls
            the Service.
    """

    namespace: str
    service: str
    secret: str
    validating: str
    mutating: str
    metadata: Object = field(default_factory=dict)
    host: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the serving certificate. The API server uses the first one."""
        full = f"{self.service}.{self.namespace}"
        services = (f"{full}.svc", f"{full}.svc.cluster.local", full, self.service)
        return (self.host, *services) if self.host else services


def new_secret(objects: WebhookObjects) -> Object:
    """Returns the Secret without an authority, as the chart creates it."""
    metadata = {"name": objects.secret, "namespace": objects.namespace, **objects.metadata}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata}


def pair_in(secret: Object | None) -> KeyPair | None:
    """Returns the authority that a Secret holds, valid or not; None if it holds none."""
    data = (secret or {}).get("data") or {}
    if not data.get(_CERT) and not data.get(_KEY):
        return None
    return KeyPair(_decoded(data.get(_CERT)), _decoded(data.get(_KEY)))


def with_pair(secret: Object, pair: KeyPair) -> Object:
    """Returns the Secret with another authority. Its other data is kept."""
    data = secret.get("data") or {}
    return {**secret, "data": {**data, _CERT: _encoded(pair.cert), _KEY: _encoded(pair.key)}}


def calls_us(configuration: Object | None) -> bool:
    """Whether a webhook configuration has a webhook that calls us."""
    return any(_our_webhooks(configuration))


def is_of_others(configuration: Object | None) -> bool:
    """Whether cert-manager or the administrator writes the CA bundles of a configuration.

    The replicas before a change of the mode still run when Helm writes the configuration. They must
    not restore their own bundle.
    """
    annotations = (configuration or {}).get("metadata", {}).get("annotations") or {}
    return any(name in annotations for name in _OTHERS)


def bundles_in(configuration: Object | None) -> Iterator[bytes]:
    """Yields the CA bundle of every webhook that calls us, valid or not."""
    for _, webhook in _our_webhooks(configuration):
        yield _decoded(webhook["clientConfig"].get("caBundle"))


def bundle_patch(configuration: Object, bundle: bytes) -> list[Object]:
    """Returns the JSON Patch that writes the bundle into our webhooks; empty if all have it.

    The patch names webhooks by position, so it is valid for this version of the configuration
    only. For any other version the API server answers 409.
    """
    wanted = _encoded(bundle)
    operations: list[Object] = [
        {"op": "add", "path": f"/webhooks/{position}/clientConfig/caBundle", "value": wanted}
        for position, webhook in _our_webhooks(configuration)
        if webhook["clientConfig"].get("caBundle") != wanted
    ]
    if operations:
        version = configuration["metadata"]["resourceVersion"]
        path = "/metadata/resourceVersion"
        operations.insert(0, {"op": "replace", "path": path, "value": version})
    return operations


def _our_webhooks(configuration: Object | None) -> Iterator[tuple[int, Object]]:
    """Yields position and content of every webhook that calls us."""
    for position, webhook in enumerate((configuration or {}).get("webhooks") or ()):
        if webhook["name"] in WEBHOOK_NAMES:
            yield position, webhook


def _encoded(value: bytes) -> str:
    return b64encode(value).decode()


def _decoded(value: str | None) -> bytes:
    try:
        return b64decode(value or "")
    except NotBase64:
        return b""
