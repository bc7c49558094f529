"""How a model is served: by which engines, on which devices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from app.catalog.devices import CPU, device_names, find_device
from app.catalog.facts.fields import Bytes, EngineName, Facts, Positive

_RELEASE_PATTERN = r"^\d+\.\d+\.\d+(\.post\d+|\.\d+)?$"

Connector = Literal["LMCacheConnectorV1", "MooncakeConnector", "NixlConnector"]
"""How prefill hands the KV cache over to decode."""


class Served(Facts):
    """How an engine serves the model."""

    since: Annotated[str, Field(pattern=_RELEASE_PATTERN)]
    """The first release that can."""
    image: str | None = None
    """Image with a tag, if the usual one does not fit; it must tell its release."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Arguments that the model needs, in the engine's spelling, for example a reasoning parser."""


class Profile(Facts):
    """A hardware configuration in which the model fits."""

    device: str
    """Name of the device in ``app.catalog.devices``, for example ``h100-80gb``."""
    devices: Positive
    """Devices of each pod; of ``cpu``, the cores."""
    pods: Positive = 1
    """Pods of one engine; more than 1 for an engine across nodes."""
    tensor: Positive | None = None
    """Tensor parallel size. Defaults to ``devices``."""
    pipeline: Positive | None = None
    """Pipeline parallel size. Defaults to ``pods``."""
    context: Positive
    """Most tokens of one request (``max-model-len``)."""
    concurrency: Positive
    """Requests of that length that fit into the KV cache at the same time."""
    engines: tuple[EngineName, ...] | None = None
    """Engines for which the profile is meant. Defaults to all that serve the model."""
    memory: Bytes | None = None
    """Memory of each pod; only for the device ``cpu``, and needed there."""
    arguments: dict[EngineName, dict[str, Any]] = Field(default_factory=dict)
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

    @model_validator(mode="after")
    def _sizes_use_all_devices(self) -> Profile:
        if self.tensor_size * self.pipeline_size != self.accelerators * self.pods:
            raise ValueError(
                f"tensor {self.tensor_size} x pipeline {self.pipeline_size} must be devices "
                f"{self.accelerators} x pods {self.pods}"
            )
        if find_device(self.device) is None:
            raise ValueError(f'device "{self.device}" is none of {", ".join(device_names())}')
        if (self.memory is None) == (self.device == CPU):
            raise ValueError(f"memory is for the device {CPU} only, and needed there")
        return self


class Variant(Facts):
    """Another template of the same model; its name is that of the model, a dash and ``suffix``."""

    suffix: Annotated[str, Field(pattern=r"^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$")]
    """End of the name, for example ``NPU`` or ``PD-Disaggregated-NixlConnector``."""
    short_suffix: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """End of the default name of ModelBoosters, for example ``npu`` or ``nixl``."""
    title: str
    """What the list of templates says of it, for example "on Ascend NPUs"."""
    connector: Connector | None = None
    """Prefill and decode in pods of their own, with this connector of vLLM. Profiles then give the
    devices of each of the two."""
    profiles: Annotated[tuple[Profile, ...], Field(min_length=1)]
