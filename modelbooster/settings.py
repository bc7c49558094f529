"""What whoever runs the program may choose, read once from environment variables.

Each field is the variable of its name in capitals behind ``MODELBOOSTER_``: ``lease_seconds`` is
``MODELBOOSTER_LEASE_SECONDS``. A name with that prefix that is none of ours is an error: a
misspelt setting that is silently ignored would be found in the night that it was made for.
"""

from __future__ import annotations

import json
import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.apis.core import ResourceRequirements
from app.apis.kinds import PROFILES, Profile
from app.convert.options import DOWNLOADER_IMAGE, RUNTIME_IMAGE, Options
from app.errors import UsageError
from app.model.storage import HOST_PATH_PREFIXES, host_folder
from app.values.meta import Object
from app.values.names import LONGEST_SUBDOMAIN, SUBDOMAIN
from controller.election.lease import is_safe as is_safe_lease

PREFIX = "MODELBOOSTER_"

_RESOURCES = TypeAdapter(ResourceRequirements)

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
ObjectName = Annotated[str, Field(max_length=LONGEST_SUBDOMAIN, pattern=f"^{SUBDOMAIN}$")]
Names = Annotated[tuple[str, ...], NoDecode]
"""Separated by commas."""
Marks = dict[Annotated[str, Field(pattern="^(labels|annotations)$")], dict[str, str]]
"""The parts of an object's metadata by which an installer knows its own objects."""


class Settings(BaseSettings):
    """Every setting, with what holds when it is absent."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are written."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """One JSON object per line, or text; auto writes text to a terminal and JSON elsewhere."""
    probe_host: str = "0.0.0.0"  # noqa: S104 - the kubelet calls the pod's own address
    """Address for /livez, /readyz and /metrics."""
    probe_port: Port = 8080
    """Port for /livez, /readyz and /metrics, plain HTTP."""

    namespace: ObjectName = "default"
    """Where the program itself runs: its Lease, its Secret and its Service."""
    state_metadata: Annotated[Marks, NoDecode] = {}
    """Labels and annotations with which a deleted Lease or Secret is recreated, as JSON."""
    namespaces: Names = ()
    """Namespaces whose ModelBoosters are served; all if empty."""
    kube_api_qps: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    """Most requests per second to the API server, on average; 0 sets no limit."""
    kube_api_burst: Annotated[int, Field(ge=1)] = 50
    """How many requests may exceed that average at once."""

    kthena_release: str | None = None
    """The kthena release that children are written for; the installed one if absent."""
    downloader_image: Annotated[str, Field(min_length=1)] = DOWNLOADER_IMAGE
    """Image that fetches models and adapters. Another one restarts every model."""
    runtime_image: Annotated[str, Field(min_length=1)] = RUNTIME_IMAGE
    """Image of the sidecar that serves metrics. Another one restarts every model."""
    image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    """Pull policy of these two images; Kubernetes decides if empty."""
    downloader_resources: Annotated[Object, NoDecode] = {}
    """Resources of the downloaders, as JSON: {"requests": {"cpu": "1"}}."""
    downloader_args: Annotated[tuple[str, ...], NoDecode] = ()
    """Arguments added to each downloader's own, as a JSON list."""
    default_scheduler_name: Annotated[str, Field(min_length=1)] = "default-scheduler"
    """Scheduler of pods for which the user names none."""
    kv_events: bool = True
    """Whether engines publish the events of their KV cache, by which the router scores pods."""
    host_path_prefixes: Names = HOST_PATH_PREFIXES
    """Folders of nodes that hostpath:// may name; ``none`` allows none. DANGER: / allows every
    folder of every node, and with it control over the node, to whoever may edit ModelBoosters."""

    webhook_host: str = "0.0.0.0"  # noqa: S104 - the API server calls the pod's own address
    """Address for admission."""
    webhook_port: Port = 9443
    """Port for admission, HTTPS."""
    webhook_body_budget_mib: Annotated[int, Field(ge=16, le=4096)] = 64
    """MiB that the bodies of all requests may hold together; beyond that the answer is 503. The
    memory limit of the container must grow by twice as much."""
    drain_seconds: Annotated[float, Field(ge=0, le=300, allow_inf_nan=False)] = 15
    """How long admission is still served after SIGTERM: the API server goes on using open
    connections for a while."""
    certificate_mode: Literal["self-managed", "provided"] = "self-managed"
    """Whether the program makes its certificates, or reads them from certificate_dir."""
    certificate_dir: Path | None = None
    """Folder with tls.crt and tls.key, for certificate_mode=provided (cert-manager does this)."""
    certificate_secret: ObjectName = "model-booster-webhook-ca"  # noqa: S105 - a name
    """Secret that holds the certificate authority."""
    webhook_service: ObjectName = "model-booster-webhook"
    """Service by which the API server calls; the certificate is made for its name."""
    validating_webhook_configuration: ObjectName = "model-booster-webhook"
    """ValidatingWebhookConfiguration that gets the CA bundle."""
    mutating_webhook_configuration: ObjectName = "model-booster-webhook"
    """MutatingWebhookConfiguration that gets the CA bundle."""

    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """How many ModelBoosters are worked on at a time."""
    resync_seconds: Annotated[float, Field(ge=60, allow_inf_nan=False)] = 36000
    """After how long a ModelBooster is looked at again although nothing changed."""
    watch_pods: bool = True
    """Whether pods are watched, to say in the status why a backend is not ready."""
    rollout_wave_size: Annotated[int, Field(ge=0)] = 0
    """How many ModelBoosters whose spec nobody edited may restart their pods at the same time, when
    what kthena's own controller made is taken over; 0 restarts only those that are annotated."""
    leader_election: bool = True
    """Whether a Lease decides which replica works. Without it there must be one replica only."""
    lease_name: ObjectName = "model-booster-controller"
    """The Lease."""
    lease_namespace: ObjectName | None = None
    """Namespace of the Lease; the program's own if absent."""
    lease_seconds: Seconds = 15
    """How long others wait for a leader that has gone silent."""
    lease_renew_seconds: Seconds = 10
    """How long a leader tries to renew before it gives up; less than lease_seconds."""
    lease_retry_seconds: Seconds = 2
    """Pause between two looks at the Lease."""
    identity: str = ""
    """Name of this replica, the host's if empty. In the Lease a random suffix follows it."""

    @field_validator("namespaces", "host_path_prefixes", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("downloader_resources", "downloader_args", "state_metadata", mode="before")
    @classmethod
    def _parsed(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as exc:
            raise ValueError(f"not JSON: {exc}") from exc

    @field_validator("downloader_resources")
    @classmethod
    def _resources(cls, value: Object) -> Object:
        # Else no model could be made, and each one's status would say so.
        try:
            known: object = _RESOURCES.validate_python(value)
        except ValidationError as exc:
            place = [str(part) for part in exc.errors()[0]["loc"]]
            if place[0] == "claims" or len(place) < 2:
                raise ValueError(f"{'.'.join(place)} cannot be read") from exc
            name = ".".join(place[:2])
            raise ValueError(f"{name} must be an amount such as 500m, 2 or 16Gi") from exc
        if known != value:
            raise ValueError("holds something besides limits, requests and claims")
        return value

    @field_validator("host_path_prefixes")
    @classmethod
    def _folders(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return () if value == ("none",) else tuple(map(host_folder, value))

    @field_validator("kthena_release")
    @classmethod
    def _known_release(cls, value: str | None) -> str | None:
        if value is not None and value not in PROFILES:
            raise ValueError(f"must be one of {', '.join(PROFILES)}")
        return value

    @model_validator(mode="after")
    def _lease_can_be_kept(self) -> Self:
        if not is_safe_lease(
            self.lease_seconds, self.lease_renew_seconds, self.lease_retry_seconds
        ):
            raise ValueError(
                f"{_variable('lease_seconds')} must be greater than "
                f"{_variable('lease_renew_seconds')}, and that greater than 1.2 times "
                f"{_variable('lease_retry_seconds')}"
            )
        return self

    @model_validator(mode="after")
    def _certificates_can_be_found(self) -> Self:
        if self.certificate_mode == "provided" and self.certificate_dir is None:
            raise ValueError(
                f"{_variable('certificate_dir')} is needed with "
                f"{_variable('certificate_mode')}=provided"
            )
        return self

    @property
    def profile(self) -> Profile | None:
        """The child profile that was asked for; None if the cluster decides."""
        return PROFILES[self.kthena_release] if self.kthena_release else None

    @property
    def options(self) -> Options:
        """What conversion reads."""
        return Options(
            downloader_image=self.downloader_image,
            runtime_image=self.runtime_image,
            image_pull_policy=self.image_pull_policy,
            downloader_resources=self.downloader_resources,
            downloader_args=self.downloader_args,
            default_scheduler_name=self.default_scheduler_name,
            kv_events=self.kv_events,
            host_path_prefixes=self.host_path_prefixes,
        )


def read_settings() -> Settings:
    """Returns the settings of the environment; an empty variable counts as absent.

    Raises:
        UsageError: a variable is unknown or its value cannot be used; all faults are named.
    """
    known = {_variable(name) for name in Settings.model_fields}
    ours = [name for name in os.environ if name.upper().startswith(PREFIX)]
    unknown = [name for name in ours if name.upper() not in known]
    faults = [f"{name} is no setting{_nearest(name, known)}" for name in sorted(unknown)]
    try:
        settings = Settings()
        if not faults:
            return settings
    except ValidationError as exc:
        faults += [_said(error) for error in exc.errors()]
    raise UsageError("; ".join(faults))


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _nearest(name: str, known: set[str]) -> str:
    # Without the prefix: with it, everything looks alike.
    rest = [setting.removeprefix(PREFIX) for setting in known]
    near = get_close_matches(name.upper().removeprefix(PREFIX), rest, n=1, cutoff=0.5)
    return f"; did you mean {PREFIX}{near[0]}?" if near else ""


def _said(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return message
    return f"{_variable(str(error['loc'][0]))}={error['input']!r}: {message}"
