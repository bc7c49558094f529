"""The settings of the program, read once from environment variables.

``MODELBOOSTER_LEASE_SECONDS`` sets ``lease_seconds``. An unknown variable with that prefix is an
error, so that a misspelt setting is noticed at the start. Annotations are no texts, which pydantic
had to parse.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from app.apis.kinds import PROFILES, Profile, read_kthena_release
from app.convert.options import (
    DOWNLOADER_IMAGE,
    KTHENA_NAMESPACE,
    MAX_WAITING_REQUESTS,
    RUNTIME_IMAGE,
    SETTING_PREFIX,
    STARTUP_SECONDS,
    Options,
)
from app.errors import UsageError
from app.model.annotations import MAX_STARTUP_SECONDS
from app.model.storage import HOST_PATH_PREFIXES
from app.values.folders import host_folder
from controller.timing import READY_SECONDS, is_safe_lease
from modelbooster.setting_types import (
    Arguments,
    Delay,
    Host,
    Metadata,
    Names,
    ObjectName,
    Port,
    Resources,
    Seconds,
    suggestion,
)

PREFIX = SETTING_PREFIX


class Settings(BaseModel):
    """All settings and their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level of the log lines that are written."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """One JSON object per line, or text; auto writes text to a terminal and JSON elsewhere."""
    probe_host: str = ""
    """Address for /livez, /readyz and /metrics; every IPv4 and IPv6 address if empty."""
    probe_port: Port = 8080
    """Port for /livez, /readyz and /metrics, plain HTTP."""

    namespace: ObjectName = "default"
    """Namespace of the program: of its Lease, its Secret and its Service."""
    state_metadata: Metadata = {}
    """Labels and annotations of a Lease or Secret that is recreated after deletion, as JSON."""
    namespaces: Names = ()
    """Namespaces whose ModelBoosters are served; all if empty."""
    kube_api_qps: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    """Average limit of requests per second to the API server; 0 means no limit."""
    kube_api_burst: Annotated[int, Field(ge=1)] = 50
    """How many requests may exceed that average at once."""

    kthena_release: str | None = None
    """kthena release of the children; the installed one if absent."""
    kthena_namespace: ObjectName = KTHENA_NAMESPACE
    """Namespace of kthena's controller manager, whose image tells the installed release."""
    max_waiting_requests: Annotated[int, Field(ge=1)] = MAX_WAITING_REQUESTS
    """maxWaitingRequests of kthena's chart; higher autoscaling targets get a warning."""
    downloader_image: Annotated[str, Field(min_length=1)] = DOWNLOADER_IMAGE
    """Image that downloads models and adapters. A change restarts every model."""
    runtime_image: Annotated[str, Field(min_length=1)] = RUNTIME_IMAGE
    """Image of the metrics sidecar. A change restarts every model."""
    image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    """Pull policy of these two images; Kubernetes decides if empty."""
    downloader_resources: Resources = {}
    """Resources of the downloaders, as JSON, such as {"requests": {"cpu": "1"}}."""
    downloader_args: Arguments = ()
    """Further arguments of each downloader, as a JSON list."""
    downloader_user: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """User id of our downloader; if absent, 65532, to which a container of root gives the folders
    of models on nodes. A change restarts every model."""
    runtime_resources: Resources = {}
    """Resources of the sidecar, as JSON. A ResourceQuota may require them of every container."""
    engine_startup_seconds: Annotated[int, Field(ge=1, le=MAX_STARTUP_SECONDS)] = STARTUP_SECONDS
    """Seconds that an engine may load its model; the annotation startup-seconds overrides it."""
    engine_env_from: bool = True
    """Whether engines get envFrom too, not only downloaders and sidecar; env takes precedence."""
    default_scheduler_name: Annotated[str, Field(min_length=1)] = "default-scheduler"
    """Scheduler of pods whose ModelBooster sets none."""
    kv_events: bool = True
    """Whether engines publish KV cache events, which the router uses to score pods."""
    host_path_prefixes: Names = HOST_PATH_PREFIXES
    """Folders of nodes for hostpath://, or ``none``. DANGER: / lets editors take over nodes."""
    cache_warmup: bool = False
    """Whether Jobs download models ahead of their pods (cacheWarmup)."""

    webhook_host: str = ""
    """Address of the admission webhook; every IPv4 and IPv6 address if empty."""
    webhook_url_host: Host = ""
    """DNS name or IP address by which the API server calls the webhook; its Service if empty."""
    webhook_port: Port = 9443
    """Port of the admission webhook, HTTPS."""
    webhook_body_budget_mib: Annotated[int, Field(ge=16, le=4096)] = 64
    """MiB for the bodies of all requests, then 503. The memory limit must grow by twice as much."""
    drain_seconds: Annotated[float, Field(ge=0, le=300, allow_inf_nan=False)] = 15
    """How long the webhook serves after SIGTERM; the API server keeps using open connections."""
    certificate_mode: Literal["self-managed", "provided"] = "self-managed"
    """Whether the program issues its certificates, or reads them from certificate_dir."""
    certificate_dir: Path | None = None
    """Folder with tls.crt and tls.key, for certificate_mode=provided (cert-manager does this)."""
    certificate_secret: ObjectName = "model-booster-webhook-ca"  # noqa: S105 - a name
    """Secret that holds the certificate authority."""
    webhook_service: ObjectName = "model-booster-webhook"
    """Service of the webhook; the certificate is issued for its name."""
    validating_webhook_configuration: ObjectName = "model-booster-webhook"
    """ValidatingWebhookConfiguration that gets the CA bundle."""
    mutating_webhook_configuration: ObjectName = "model-booster-webhook"
    """MutatingWebhookConfiguration that gets the CA bundle."""

    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """ModelBoosters that are reconciled at the same time."""
    resync_seconds: Annotated[float, Field(ge=60, allow_inf_nan=False)] = 36000
    """Interval after which an unchanged ModelBooster is reconciled again."""
    watch_pods: bool = True
    """Whether pods are watched, so that the status tells why a backend is not ready."""
    read_download_logs: bool = True
    """Whether logs of downloaders are read, so that the status tells how far they are."""
    touch_pods: bool = False
    """Whether pods are annotated after their ModelServer was created again, up to kthena v0.2.0."""
    route_ready_seconds: Delay = READY_SECONDS
    """Seconds that a backend is available without a break before it gets requests again."""
    rollout_wave_size: Annotated[int, Field(ge=0)] = 0
    """ModelBoosters that may restart pods at a time without an edit; 0 for only annotated ones."""
    leader_election: bool = True
    """Whether replicas elect a leader with a Lease. If false, there must be only one replica."""
    lease_name: ObjectName = "model-booster-controller"
    """Name of the Lease."""
    lease_namespace: ObjectName | None = None
    """Namespace of the Lease; the program's own if absent."""
    lease_seconds: Seconds = 15
    """How long other replicas wait for a leader that no longer renews."""
    lease_renew_seconds: Seconds = 10
    """How long a leader tries to renew before it gives up; less than lease_seconds."""
    lease_retry_seconds: Seconds = 2
    """Interval between two attempts to acquire or renew the Lease."""
    identity: str = ""
    """Name of this replica; the host name if empty. The Lease adds a random suffix."""

    @field_validator("host_path_prefixes")
    @classmethod
    def _parse_prefixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return () if value == ("none",) else tuple(map(host_folder, value))

    @field_validator("kthena_release")
    @classmethod
    def _check_release(cls, value: str | None) -> str | None:
        if value is not None and value not in PROFILES:
            raise ValueError(f"must be one of {', '.join(PROFILES)}")
        return value

    @model_validator(mode="after")
    def _check_lease_times(self) -> Self:
        # Otherwise two replicas could lead at the same time.
        times = self.lease_seconds, self.lease_renew_seconds, self.lease_retry_seconds
        if not is_safe_lease(*times):
            fields = "lease_seconds", "lease_renew_seconds", "lease_retry_seconds"
            lease, renew, retry = map(_variable, fields)
            above = f"{renew}, and that greater than 1.2 times {retry}"
            raise ValueError(f"{lease} must be greater than {above}")
        return self

    @model_validator(mode="after")
    def _check_certificate_dir(self) -> Self:
        if self.certificate_mode == "provided" and self.certificate_dir is None:
            field, mode = _variable("certificate_dir"), _variable("certificate_mode")
            raise ValueError(f"{field} is needed with {mode}=provided")
        return self

    @property
    def profile(self) -> Profile | None:
        """The profile of ``kthena_release``; None if the installed kthena decides."""
        return PROFILES[self.kthena_release] if self.kthena_release else None

    @property
    def options(self) -> Options:
        """The options of conversion."""
        return Options(
            downloader_image=self.downloader_image,
            runtime_image=self.runtime_image,
            image_pull_policy=self.image_pull_policy,
            downloader_resources=self.downloader_resources,
            downloader_args=self.downloader_args,
            downloader_user=self.downloader_user,
            runtime_resources=self.runtime_resources,
            engine_startup_seconds=self.engine_startup_seconds,
            engine_env_from=self.engine_env_from,
            default_scheduler_name=self.default_scheduler_name,
            kv_events=self.kv_events,
            host_path_prefixes=self.host_path_prefixes,
            kthena_release=read_kthena_release(self.kthena_release or ""),
            kthena_namespace=self.kthena_namespace,
            max_waiting_requests=self.max_waiting_requests,
            cache_warmup=self.cache_warmup,
        )


def read_settings() -> Settings:
    """Returns the settings in the environment; an empty variable counts as absent.

    Raises:
        UsageError: variables are unknown or invalid; the message lists all of them.
    """
    known = {_variable(name): name for name in Settings.model_fields}
    ours = {name: text for name, text in os.environ.items() if name.upper().startswith(PREFIX)}
    unknown = sorted(name for name in ours if name.upper() not in known)
    faults = [f"{name} is no setting{suggestion(name, known, PREFIX)}" for name in unknown]
    given = {known[n.upper()]: text for n, text in ours.items() if text and n.upper() in known}
    try:
        settings = Settings.model_validate(given)
        if not faults:
            return settings
    except ValidationError as exc:
        faults += [_describe(error) for error in exc.errors()]
    raise UsageError("; ".join(faults))


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _describe(error: Any) -> str:
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{_variable(error['loc'][0])}={error['input']!r}: {text}" if error["loc"] else text
