"""How a model is served: by which engines, on which devices."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal

from app.catalog.devices import CPU
from app.catalog.facts.fields import Bytes, EngineName, facts

Connector = Literal["LMCacheConnectorV1", "MooncakeConnector", "NixlConnector"]
"""How prefill hands the KV cache over to decode."""


@facts
class Served:
    """How an engine serves the model."""

    since: str
    """The first release that can."""
    image: str | None = None
    """Image with a tag, if the usual one does not fit; it must tell its release."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Arguments that the model needs, in the engine's spelling, for example a reasoning parser."""


@facts
class Profile:
    """A hardware configuration in which the model fits."""

    device: str
    """Name of the device in ``app.catalog.devices``, for example ``h100-80gb``."""
    devices: int
    """Devices of each pod; of ``cpu``, the cores."""
    pods: int = 1
    """Pods of one engine; more than 1 for an engine across nodes."""
    tensor: int | None = None
    """Tensor parallel size. Defaults to ``devices``."""
    pipeline: int | None = None
    """Pipeline parallel size. Defaults to ``pods``."""
    context: int
    """Most tokens of one request (``max-model-len``)."""
    concurrency: int
    """Requests of that length that fit into the KV cache at the same time. With SGLang it may be
    fewer, if the model has layers with a window."""
    engines: tuple[EngineName, ...] | None = None
    """Engines for which the profile is meant. Defaults to all that serve the model."""
    memory: Bytes | None = None
    """Memory of each pod; only for the device ``cpu``, and needed there."""
    arguments: dict[EngineName, dict[str, Any]] = field(default_factory=dict)
    """Further arguments of this profile by engine, for example ``kv-cache-dtype: fp8``."""

    @property
    def accelerators(self) -> int:
        """Devices of each pod that share the model; cores count as one."""
        return 1 if self.device == CPU else self.devices

    @property
    def tensor_size(self) -> int:
        """The tensor parallel size."""
        return self.tensor or self.accelerators

    @property
    def pipeline_size(self) -> int:
        """The pipeline parallel size."""
        return self.pipeline or self.pods

    @property
    def name(self) -> str:
        """Name of the profile, unique in its template: ``h100-80gb-x2``, ``h100-80gb-x8-pods2``."""
        pods = f"-pods{self.pods}" if self.pods > 1 else ""
        return f"{self.device}-x{self.devices}{pods}"


@facts
class Variant:
    """Another template of the same model; its name is that of the model, a dash and ``suffix``."""

    suffix: str
    """End of the name, for example ``NPU`` or ``PD-Disaggregated-NixlConnector``."""
    short_suffix: str
    """End of the default name of ModelBoosters, for example ``npu`` or ``nixl``."""
    title: str
    """What the list of templates says of it, for example "on Ascend NPUs"."""
    connector: Connector | None = None
    """Prefill and decode in pods of their own, with this connector of vLLM. Profiles then give the
    devices of each of the two."""
    profiles: tuple[Profile, ...]
