"""The objects of the cluster that certificates stand in, and how they stand there."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.values.meta import Object, Resource
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

ENTRIES = frozenset(
    f"{verb}-modelbooster.workload.serving.volcano.sh"
    for verb in ("validate", "protect", "warn", "mutate")
)
"""Names of the entries that call us; others in the same configuration are not ours."""

_CERT, _KEY = "ca.crt", "ca.key"


@dataclass(frozen=True, slots=True)
class Place:
    """The objects around the webhook, by name."""

    namespace: str
    service: str
    secret: str
    validating: str
    mutating: str
    metadata: Object = field(default_factory=dict)
    """Labels and annotations of the Secret, if it must be created."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the serving certificate is for; the API server asks for the first."""
        full = f"{self.service}.{self.namespace}"
        return f"{full}.svc", f"{full}.svc.cluster.local", full, self.service


def new_secret(place: Place) -> Object:
    """Returns the Secret without an authority, as the chart makes it."""
    metadata = {"name": place.secret, "namespace": place.namespace, **place.metadata}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata}


def pair_in(secret: Object | None) -> KeyPair | None:
    """Returns the authority that a Secret holds, sound or not; None if it holds none at all."""
    held = (secret or {}).get("data") or {}
    if not held.get(_CERT) and not held.get(_KEY):
        return None
    return KeyPair(_decoded(held.get(_CERT)), _decoded(held.get(_KEY)))


def with_pair(secret: Object, pair: KeyPair) -> Object:
    """Returns the Secret with another authority; whatever else it holds stays."""
    held = secret.get("data") or {}
    return {**secret, "data": {**held, _CERT: _encoded(pair.cert), _KEY: _encoded(pair.key)}}


def calls_us(configuration: Object | None) -> bool:
    """Whether a webhook configuration has an entry that calls us."""
    return any(_ours(configuration))


def bundles_in(configuration: Object | None) -> Iterator[bytes]:
    """Yields the CA bundles of the entries that call us, whatever they hold."""
    for _, entry in _ours(configuration):
        yield _decoded(entry["clientConfig"].get("caBundle"))


def bundle_patch(configuration: Object, bundle: bytes) -> list[Object]:
    """Returns the JSON Patch that puts the bundle into our entries; empty if it stands there.

    The patch is good for the version of the configuration that it was made from only, since it
    names entries by their position; for another the API server answers 409.
    """
    wanted = _encoded(bundle)
    operations: list[Object] = [
        {"op": "add", "path": f"/webhooks/{position}/clientConfig/caBundle", "value": wanted}
        for position, entry in _ours(configuration)
        if entry["clientConfig"].get("caBundle") != wanted
    ]
    if operations:
        version = configuration["metadata"]["resourceVersion"]
        path = "/metadata/resourceVersion"
        operations.insert(0, {"op": "replace", "path": path, "value": version})
    return operations


def _ours(configuration: Object | None) -> Iterator[tuple[int, Object]]:
    for position, entry in enumerate((configuration or {}).get("webhooks") or ()):
        if entry["name"] in ENTRIES:
            yield position, entry


def _encoded(value: bytes) -> str:
    return b64encode(value).decode()


def _decoded(value: str | None) -> bytes:
    try:
        return b64decode(value or "")
    except NotBase64:
        return b""
