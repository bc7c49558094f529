"""What a healthy cluster looks like to ``model-booster doctor``, without a cluster."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.apis.kinds import CHILDREN, KthenaRelease, Profile
from app.installed import Installed
from app.values.meta import Object
from certs.pki import KeyPair, new_authority
from modelbooster.checkup.facts import Facts, Reviewed, Seen

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
NAMESPACE = "model-booster-system"
AUTHORITY = new_authority("test", NOW, timedelta(days=365))


def facts(**changes: Any) -> Facts:
    """Everything as it should be, but for the changes."""
    configuration = {"metadata": {"name": "model-booster-webhook"}}
    healthy = Facts(
        now=NOW,
        program="0.1.0",
        server="context prod",
        version="v1.34.1",
        user="admin",
        namespace="default",
        installed=Installed(Profile.B, CHILDREN, (), "", KthenaRelease(0, 4, 0)),
        deployments=Seen((deployment("webhook"), deployment("controller"))),
        managers=Seen((kthena("kthena-controller-manager", "--controllers=*,-modelbooster"),)),
        routers=Seen((kthena("kthena-router"),)),
        validating=Seen(({**configuration, "webhooks": [hook("validate"), hook("protect")]},)),
        mutating=Seen(({**configuration, "webhooks": [hook("mutate", "Ignore")]},)),
        services=Seen(({"metadata": {"name": "model-booster-webhook"}},)),
        endpoints=Seen(({"endpoints": [{"addresses": ["10.0.0.1"]}]},)),
        certificates=Seen((secret(AUTHORITY),)),
        leases=Seen((lease(),)),
        nodes=Seen((node(**{"nvidia.com/gpu": 8}),)),
        rights=Reviewed({"": ()}, 27),
        operator_rights=Reviewed({}, 60),
    )
    return replace(healthy, **changes)


def deployment(component: str, **settings: str) -> Object:
    """A Deployment of ours."""
    name = f"model-booster-{component}"
    own = {
        "webhook": {"CERTIFICATE_SECRET": "model-booster-webhook-ca"},
        "controller": {"LEASE_NAME": name, "RUNTIME_IMAGE": "ghcr.io/volcano-sh/runtime:v0.4.0"},
    }
    values = {**own[component], **settings}
    env = [{"name": f"MODELBOOSTER_{name}", "value": value} for name, value in values.items()]
    container = {"image": "model-booster:0.1.0", "env": env}
    pod = {"serviceAccountName": name, "containers": [container]}
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"app.kubernetes.io/component": component},
            "annotations": {"meta.helm.sh/release-name": "model-booster"},
        },
        "spec": {"replicas": 2, "template": {"spec": pod}},
        "status": {"availableReplicas": 2},
    }


def kthena(name: str, *args: str, **container: Any) -> Object:
    """A Deployment of kthena."""
    image = f"ghcr.io/volcano-sh/{name}:v0.4.0"
    pod = {"containers": [{"image": image, "args": list(args), **container}]}
    return {
        "metadata": {"name": name, "namespace": "kthena-system"},
        "spec": {"replicas": 1, "template": {"spec": pod}},
        "status": {"availableReplicas": 1},
    }


def hook(verb: str, policy: str = "Fail", authority: KeyPair = AUTHORITY) -> Object:
    """A webhook of ours."""
    service = {"name": "model-booster-webhook", "namespace": NAMESPACE}
    bundle = b64encode(authority.cert).decode()
    return {
        "name": f"{verb}-modelbooster.workload.serving.volcano.sh",
        "failurePolicy": policy,
        "clientConfig": {"service": service, "caBundle": bundle},
    }


def secret(pair: KeyPair, cert: str = "ca.crt", key: str = "ca.key") -> Object:
    """A Secret with a certificate and its key."""
    data = {cert: b64encode(pair.cert).decode(), key: b64encode(pair.key).decode()}
    return {"metadata": {"name": "s", "namespace": NAMESPACE}, "data": data}


def lease(seconds_ago: float = 2, holder: str = "model-booster-controller-0") -> Object:
    """The Lease of the controller."""
    renewed = (NOW - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed}}


def node(**devices: int) -> Object:
    """A node that offers devices."""
    return {"status": {"allocatable": {"cpu": "64", **{n: str(v) for n, v in devices.items()}}}}
