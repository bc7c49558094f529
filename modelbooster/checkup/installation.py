"""How the operator is installed, as its Deployments tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.values.meta import Object, annotations_of, key_of, labels_of
from app.values.untyped import as_dict, as_list

SELECTOR = "app.kubernetes.io/part-of=model-booster"
"""Labels of every object of the chart."""

OPERATOR_NAMESPACE = "model-booster-system"
"""Where the documentation installs the operator."""

_COMPONENT = "app.kubernetes.io/component"
_RELEASE_NAME = "meta.helm.sh/release-name"
_PREFIX = "MODELBOOSTER_"


@dataclass(frozen=True, slots=True)
class Component:
    """The Deployment of one process.

    Args:
        deployment: the Deployment.
        settings: the environment of its container, without the prefix of our settings.
    """

    deployment: Object
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the Deployment."""
        return key_of(self.deployment).name

    @property
    def namespace(self) -> str:
        """Namespace of the Deployment."""
        return key_of(self.deployment).namespace

    @property
    def component(self) -> str:
        """``webhook`` or ``controller``."""
        return labels_of(self.deployment).get(_COMPONENT, "")

    @property
    def image(self) -> str:
        """Image of the container."""
        return next((str(c.get("image", "")) for c in containers(self.deployment)), "")

    @property
    def account(self) -> str:
        """User name of the service account."""
        pod = pod_spec(self.deployment)
        return f"system:serviceaccount:{self.namespace}:{pod.get('serviceAccountName', 'default')}"

    @property
    def release(self) -> str:
        """Name of the Helm release; ``""`` if Helm did not install it."""
        return annotations_of(self.deployment).get(_RELEASE_NAME, "")

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Namespaces of the ModelBoosters that it handles; empty for all."""
        return tuple(filter(None, self.settings.get("NAMESPACES", "").split(",")))

    @property
    def lease_namespace(self) -> str:
        """Namespace of the Lease for leader election."""
        return self.settings.get("LEASE_NAMESPACE") or self.namespace

    def is_on(self, setting: str, *, default: bool = False) -> bool:
        """Whether a setting is true."""
        text = self.settings.get(setting, "")
        return text == "true" if text else default


@dataclass(frozen=True, slots=True)
class Installation:
    """The Deployments of the operator.

    Args:
        components: all of them.
    """

    components: tuple[Component, ...] = ()

    @property
    def webhook(self) -> Component | None:
        """The webhook; None if it is not installed."""
        return self._first("webhook")

    @property
    def controller(self) -> Component | None:
        """The controller; None if it is not installed."""
        return self._first("controller")

    @property
    def namespace(self) -> str:
        """Namespace of the operator; the documented one if it is not installed."""
        return next((c.namespace for c in self.components), OPERATOR_NAMESPACE)

    def restore(self) -> str:
        """Returns the command that writes all objects of the chart again."""
        if not self.components:
            return f"helm upgrade --install {self._chart} --create-namespace"
        return f"helm upgrade {self._chart} --reuse-values{self._force}"

    def change(self, *values: str) -> str:
        """Returns the command that changes values of the chart, each ``name=value``."""
        sets = "".join(f" --set {value}" for value in values)
        return f"helm upgrade {self._chart} --reuse-values{sets}{self._force}"

    @property
    def _chart(self) -> str:
        release = next((c.release for c in self.components if c.release), "model-booster")
        return f"{release} charts/model-booster -n {self.namespace}"

    @property
    def _force(self) -> str:
        """Helm 4 refuses to write fields that somebody else has changed; Helm 3 lacks the flag."""
        managers = [
            (entry.get("manager"), entry.get("operation"))
            for component in self.components
            for entry in component.deployment["metadata"].get("managedFields") or ()
        ]
        return " --force-conflicts" if ("helm", "Apply") in managers else ""

    def _first(self, component: str) -> Component | None:
        return next((c for c in self.components if c.component == component), None)


def installation_in(deployments: tuple[Object, ...]) -> Installation:
    """Returns the installation that the Deployments with our labels form."""
    found = (Component(obj, _settings(obj)) for obj in deployments)
    return Installation(tuple(c for c in found if c.component in ("webhook", "controller")))


def pod_spec(workload: Object) -> Object:
    """Returns the spec of a workload's pods."""
    return as_dict(as_dict(as_dict(workload.get("spec")).get("template")).get("spec"))


def containers(workload: Object) -> Iterator[Object]:
    """Yields the containers of a workload's pods."""
    yield from map(as_dict, as_list(pod_spec(workload).get("containers")))


def available(deployment: Object) -> tuple[int, int]:
    """Returns how many pods of a Deployment are available, and how many it should have."""
    status, spec = as_dict(deployment.get("status")), as_dict(deployment.get("spec"))
    wanted = spec.get("replicas")
    return int(status.get("availableReplicas") or 0), 1 if wanted is None else int(wanted)


def _settings(deployment: Object) -> dict[str, str]:
    return {
        str(entry.get("name", "")).removeprefix(_PREFIX): str(entry.get("value", ""))
        for container in containers(deployment)
        for entry in map(as_dict, as_list(container.get("env")))
        if str(entry.get("name", "")).startswith(_PREFIX)
    }
