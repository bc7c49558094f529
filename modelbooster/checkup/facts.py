"""What the checks look at: objects as read from the cluster, and answers of the API server.

Reading and checking are separate, so that each check is a function from values to one finding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from app.installed import Installed
from app.values.meta import Object


@dataclass(frozen=True, slots=True)
class Seen:
    """Objects of one kind.

    Args:
        items: the objects.
        lacks: the right without which they could not be read; ``""`` if they were read.
    """

    items: tuple[Object, ...] = ()
    lacks: str = ""

    @property
    def first(self) -> Object | None:
        """The first object; None if there is none."""
        return self.items[0] if self.items else None


class Outcome(StrEnum):
    """How the API server answered the creation of a ModelBooster in a dry run."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    ERROR = "error"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class Probe:
    """The answer to the creation of a ModelBooster in a dry run.

    Args:
        outcome: how the API server answered.
        message: its message; ``""`` if the object was admitted.
        namespace: where the object would have been created.
    """

    outcome: Outcome
    message: str = ""
    namespace: str = "default"


@dataclass(frozen=True, slots=True)
class Right:
    """A right that somebody needs.

    Args:
        verb: the verb.
        resource: ``plural.group``, with ``/subresource`` if it is about one.
        name: name of the only object; ``""`` for all.
        namespace: ``""`` for all namespaces, or for a cluster-scoped kind.
    """

    verb: str
    resource: str
    name: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        named = f" {self.name}" if self.name else ""
        place = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{named}{place}"


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The answers of the API server about rights.

    Args:
        denied: the rights that are missing, by account; ``""`` is the user.
        asked: number of rights that were asked for.
        lacks: the right without which it could not be asked; ``""`` if it was.
    """

    denied: dict[str, tuple[Right, ...]] = field(default_factory=dict)
    asked: int = 0
    lacks: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the checks look at.

    Args:
        now: the time.
        program: version of this program.
        server: how the user chose the cluster, for example ``context prod``.
        version: version of Kubernetes.
        user: the user's name; ``""`` if the API server does not tell it.
        namespace: the user's namespace.
        groups: API groups that are served.
        serves_boosters: whether ModelBoosters are served.
        installed: what is known of kthena and of the installed definition.
        deployments: our Deployments.
        managers: Deployments of kthena's controller manager.
        routers: Deployments of kthena's router.
        schedulers: Deployments of Volcano's scheduler.
        validating: ValidatingWebhookConfigurations.
        mutating: MutatingWebhookConfigurations.
        services: the Service of the webhook, if it exists.
        endpoints: its EndpointSlices.
        certificates: the Secret that holds the authority, or the served certificate.
        leases: the Lease of the controller.
        nodes: the nodes.
        boosters: the ModelBoosters.
        rights: what the user may not do.
        operator_rights: what the service accounts of the operator may not do.
        admitted: answer to a valid ModelBooster.
        refused: answer to a ModelBooster that only our webhook rejects.
    """

    now: datetime
    program: str = ""
    server: str = ""
    version: str = ""
    user: str = ""
    namespace: str = "default"
    groups: frozenset[str] = frozenset()
    serves_boosters: bool = True
    installed: Installed = field(default_factory=lambda: Installed(None, ()))
    deployments: Seen = Seen()
    managers: Seen = Seen()
    routers: Seen = Seen()
    schedulers: Seen = Seen()
    validating: Seen = Seen()
    mutating: Seen = Seen()
    services: Seen = Seen()
    endpoints: Seen = Seen()
    certificates: Seen = Seen()
    leases: Seen = Seen()
    nodes: Seen = Seen()
    boosters: Seen = Seen()
    rights: Reviewed = Reviewed()
    operator_rights: Reviewed = Reviewed()
    admitted: Probe = Probe(Outcome.ADMITTED)
    refused: Probe = Probe(Outcome.REFUSED)
