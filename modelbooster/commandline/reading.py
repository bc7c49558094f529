"""The release of the engine that a command runs, and what its arguments say to it."""

from __future__ import annotations

from dataclasses import dataclass

from app.engines.engine import Engine, engine_of
from app.engines.fault import Wrong
from app.engines.image import release_of_image
from app.engines.names import LABELS
from app.engines.table import releases
from app.engines.words import command_line
from app.errors import UsageError
from modelbooster.commandline import hardware
from modelbooster.commandline.arguments import Reading, read_arguments
from modelbooster.commandline.program import Launch
from modelbooster.commandline.shell import is_known, shown, unknown_in

_BAD_VALUES = frozenset({Wrong.FORM, Wrong.TYPE, Wrong.CHOICE})
_IMAGES = {
    ("vllm", "amd.com/gpu"): "vllm/vllm-openai-rocm",
    ("vllm", hardware.CPU): "vllm/vllm-openai-cpu",
    ("vllm", ""): "vllm/vllm-openai",
    ("sglang", ""): "lmsysorg/sglang",
}
"""Images of the engines, by engine and resource; ``""`` for all other resources."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user states besides the command; None where the command decides.

    Args:
        name: name of the ModelBooster.
        namespace: its namespace.
        image: image of the engine.
        release: release of the engine in that image.
        model_uri: source of the model.
        cache_uri: where pods keep downloads.
        resource: the extended resource that counts the devices.
        pods: pods of one engine.
        kthena: kthena release whose own schema must accept the object as well.
    """

    name: str | None = None
    namespace: str | None = None
    image: str | None = None
    release: str | None = None
    model_uri: str | None = None
    cache_uri: str | None = None
    resource: str | None = None
    pods: int | None = None
    kthena: str | None = None


def read_launch(launch: Launch, choices: Choices) -> tuple[Engine, str, Reading, list[str]]:
    """Returns the engine with its image, and what its arguments say.

    Raises:
        UsageError: the engine would refuse the arguments.
    """
    image = choices.image or (launch.container.image if launch.container else "")
    if not is_known(image):
        detail = f"the value of {unknown_in(image)} is not in the command"
        raise UsageError(f"the image {shown(image)} is not known: {detail}; state it: --image")
    if image:
        told = release_of_image(launch.engine, image)
        stated = choices.release or (launch.release if told is None else None)
        engine = _engine(launch.engine, image, stated)
        return engine, image, _accepted(engine, launch.words), []
    if choices.release or launch.release:
        release = choices.release or launch.release
        engine = _engine(launch.engine, "", release)
        reading = _accepted(engine, launch.words)
        return engine, _image(launch, reading, choices, release), reading, []
    return _newest(launch, choices)


def _newest(launch: Launch, choices: Choices) -> tuple[Engine, str, Reading, list[str]]:
    """Returns the newest release that takes all flags; a command on a machine names none."""
    first: Reading | None = None
    label = LABELS[launch.engine]
    newest = releases(launch.engine)[-1]
    for release in reversed(releases(launch.engine)):
        engine = _engine(launch.engine, "", str(release))
        reading = _checked(engine, launch.words)
        first = first or reading
        if not reading.faults:
            image = _image(launch, reading, choices, str(release))
            why = (
                "the newest release known"
                if release == newest
                else (
                    f"the newest release known that has all flags of the command ({label} {newest} "
                    f"has not: {_names(first)})"
                )
            )
            return engine, image, reading, [f"image {image}: {why}; --image states another one"]
    assert first is not None  # noqa: S101 - every engine has a table
    hint = "if your release is another one, state it: --engine-release X.Y.Z"
    raise UsageError("\n".join([*first.faults, hint]))


def _image(launch: Launch, reading: Reading, choices: Choices, release: str | None) -> str:
    """Returns the image of a release for the devices of a command that names none."""
    resource = choices.resource or hardware.resource_of(launch, reading.config)
    found = _IMAGES.get((launch.engine, resource)) or _IMAGES[launch.engine, ""]
    return f"{found}:v{release}"


def _names(reading: Reading) -> str:
    return ", ".join(fault.partition(":")[0] for fault in reading.faults)


def _engine(name: str, image: str, stated: str | None) -> Engine:
    try:
        return engine_of(name, image, stated)
    except ValueError as exc:
        raise UsageError(f"--engine-release: {exc}") from None


def _accepted(engine: Engine, words: list[str]) -> Reading:
    reading = _checked(engine, words)
    if reading.faults:
        raise UsageError("\n".join(reading.faults))
    return reading


def _checked(engine: Engine, words: list[str]) -> Reading:
    """Returns what the arguments say, with the faults of their values."""
    reading = read_arguments(engine, words)
    known = {k: v for k, v in reading.config.items() if not isinstance(v, str) or is_known(v)}
    for fault in command_line(engine, known, {}).faults:
        if fault.certain and fault.wrong in _BAD_VALUES:
            reading.faults.append(f"--{fault.key}: {fault.detail}")
    return reading
