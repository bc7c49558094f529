"""A new certificate authority, and serving certificates of it, while admissions come in."""

from __future__ import annotations

import ssl
from base64 import b64decode

from app.values.meta import Object
from certs.objects import MUTATING, SECRET, VALIDATING, pair_in
from certs.pki import certificates, is_issued_by, own_certificate, pem_of
from tests.pods.stage import Stage, eventually

SECRET_NAME = "model-booster-webhook-ca"  # a name
CONFIGURATION = "model-booster-webhook"
PORT = 9443
"""The container port for admission; the chart's default."""


def new_authority(stage: Stage) -> None:
    """The Secret is deleted: a new authority is trusted everywhere, beside the old one."""
    before = _authority(stage)
    stage.system.delete(SECRET, SECRET_NAME)
    eventually(lambda: _authority(stage) not in (b"", before), "there is a new authority")
    both = {before, _authority(stage)}
    eventually(lambda: _trusts(stage, both), "both authorities are trusted")


def new_leaves(stage: Stage) -> None:
    """Every webhook serves a certificate that the new authority signed, without a restart."""
    authority = own_certificate(_authority(stage))

    def is_new(pod: Object) -> bool:
        pem = ssl.get_server_certificate((pod["status"]["podIP"], PORT), timeout=5)
        return is_issued_by(own_certificate(pem.encode()), authority)

    pods = [pod["metadata"]["name"] for pod in stage.pods("webhook")]
    before = {pod: stage.restarts(pod) for pod in pods}
    eventually(
        lambda: all(map(is_new, stage.pods("webhook"))),
        "every webhook serves a certificate of the new authority",
    )
    assert {pod: stage.restarts(pod) for pod in pods} == before, "a webhook was restarted"


def _authority(stage: Stage) -> bytes:
    """Returns the certificate of the present authority as PEM, b"" if there is none."""
    pair = pair_in(stage.system.get(SECRET, SECRET_NAME))
    return pem_of([own_certificate(pair.cert)]) if pair else b""


def _trusts(stage: Stage, authorities: set[bytes]) -> bool:
    """Whether every webhook of both configurations trusts all of these authorities."""
    bundles = [
        b64decode(hook["clientConfig"].get("caBundle", ""))
        for kind in (VALIDATING, MUTATING)
        for hook in stage.api.request("GET", kind.path(None, CONFIGURATION))["webhooks"]
    ]
    return all(
        authorities <= {pem_of([certificate]) for certificate in certificates(bundle)}
        for bundle in bundles
    )
