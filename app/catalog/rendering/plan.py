"""What values and defaults come to for one template: engine, profile, sizes, image."""

from __future__ import annotations

from dataclasses import dataclass

from app.catalog.devices import ASCEND, CPU, Device, device
from app.catalog.facts.fields import EngineName
from app.catalog.facts.serving import Profile
from app.catalog.images import image_of
from app.catalog.parameters import Values, ValuesError
from app.catalog.rendering.checks import usable_engine
from app.catalog.templates import Template, engines_of
from app.engines.names import LABELS


@dataclass(frozen=True, slots=True)
class Plan:
    """How a template is served.

    Args:
        template: the template.
        values: the values as given.
        engine: the engine.
        profile: the profile as chosen, before the values change it.
        image: image of the engine; of both workers, unless the values say otherwise.
        devices: devices of each pod.
        pods: pods of one engine.
        tensor: tensor parallel size.
        pipeline: pipeline parallel size.
        context: most tokens of a request.
    """

    template: Template
    values: Values
    engine: EngineName
    profile: Profile
    image: str
    devices: int
    pods: int
    tensor: int
    pipeline: int
    context: int

    @property
    def device(self) -> Device:
        """The device of the profile."""
        return device(self.profile.device)

    @property
    def disaggregated(self) -> bool:
        """Whether prefill and decode run in pods of their own."""
        variant = self.template.variant
        return variant is not None and variant.connector is not None


def plan_of(
    template: Template, values: Values, profile: Profile | None, engine: EngineName | None
) -> Plan:
    """Returns how a template is served with some values.

    Args:
        template: the template.
        values: the values.
        profile: the profile, if it is not one of the template or was chosen already.
        engine: the engine, if it was chosen already.

    Raises:
        ValuesError: the values contradict each other or the template.
    """
    engine = engine or values.engine
    profile = profile or _profile(template, values, engine)
    engine = usable_engine(template, profile, engine, f"on {profile.device}")
    if values.max_model_len is not None and values.max_model_len > template.model.context:
        raise ValuesError(
            f"maxModelLen: {values.max_model_len} is more than the {template.model.context} "
            "tokens of the model"
        )
    devices, pods, tensor, pipeline = _sizes(template, values, profile)
    return Plan(
        template=template,
        values=values,
        engine=engine,
        profile=profile,
        image=values.worker_image or image_of(template.model, profile, engine),
        devices=devices,
        pods=pods,
        tensor=tensor,
        pipeline=pipeline,
        context=values.max_model_len or profile.context,
    )


def _profile(template: Template, values: Values, engine: EngineName | None) -> Profile:
    """Returns the profile that is asked for by name, or the first one that fits the engine."""
    if values.profile is not None:
        named = [p for p in template.profiles if p.name == values.profile]
        if named:
            return named[0]
        names = ", ".join(profile.name for profile in template.profiles)
        raise ValuesError(f'profile: "{values.profile}" is none of {names}')
    wanted = [p for p in template.profiles if not engine or engine in engines_of(template, p)]
    if wanted:
        return wanted[0]
    served = " or ".join(LABELS[name] for name in template.engines)
    raise ValuesError(f'engine: "{engine}" does not serve {template.name}; {served} does')


def _sizes(template: Template, values: Values, profile: Profile) -> tuple[int, int, int, int]:
    """Returns devices per pod, pods, and tensor and pipeline parallel size."""
    pods = values.worker_pods or profile.pods
    devices = _limit(values, profile) or profile.devices
    accelerators = 1 if profile.device == CPU else devices
    same = (pods, accelerators) == (profile.pods, profile.accelerators)
    total = accelerators * pods
    pipeline, tensor = values.pipeline_parallel_size, values.tensor_parallel_size
    if pipeline is None:
        if tensor is not None:
            pipeline = max(1, total // tensor)
        else:
            pipeline = profile.pipeline_size if same else pods
    tensor = tensor or max(1, total // pipeline)
    if tensor * pipeline != total:
        raise ValuesError(
            f"tensorParallelSize {tensor} x pipelineParallelSize {pipeline} must be the "
            f"{total} devices of {pods} pod{'s' if pods > 1 else ''} with {accelerators}; "
            "set gpuLimit or workerPods to match"
        )
    heads = template.model.attention.heads
    if heads % tensor:
        raise ValuesError(f"tensorParallelSize: {tensor} does not divide the {heads} heads")
    return devices, pods, tensor, pipeline


def _limit(values: Values, profile: Profile) -> int | None:
    """Returns the devices of each pod that the values give."""
    resource = device(profile.device).resource
    if values.gpu_limit is not None and resource in (ASCEND, CPU):
        use = "npuLimit" if resource == ASCEND else "another profile"
        raise ValuesError(f"gpuLimit: the profile {profile.name} has no GPUs; set {use}")
    if values.npu_limit is not None and resource != ASCEND:
        raise ValuesError(f"npuLimit: the profile {profile.name} has no NPUs; set gpuLimit")
    limit = values.gpu_limit or values.npu_limit
    if values.gpu_request not in (None, limit or profile.devices):
        raise ValuesError(
            f"gpuRequest: {values.gpu_request} must equal the limit, "
            f"{limit or profile.devices}, as Kubernetes wants it of devices"
        )
    return limit
