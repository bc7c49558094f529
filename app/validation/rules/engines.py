"""Rules about images, arguments, ports and the location of models.

Most of these rules call the function that conversion calls (``rules.facts``).
"""

from __future__ import annotations

from collections.abc import Iterator

from app.convert.pods.adapters import check_adapters
from app.convert.pods.template import engine_image
from app.model.arguments import arguments
from app.model.connector import connector
from app.model.names import served_model_name
from app.model.ports import engine_port, runtime_port
from app.model.storage import adapter_path, cache_of, model_path
from app.validation.inputs import RuleInputs
from app.validation.rules.facts import fault_of
from app.values.fields import (
    Cause,
    FieldError,
    SpecError,
    invalid,
    too_long,
)

MAX_IMAGE_BYTES = 1024
"""Length of an image reference; name (255), tag (128) and digest need about half of it.

Container runtimes reject longer names (github.com/distribution/reference, ErrNameTooLong).
"""


def images_are_named(inputs: RuleInputs) -> Iterator[FieldError]:
    """A worker names its ``image``.

    Workers of types that are not served yet are not checked.
    """
    for form in inputs.readable_backends:
        for worker in form.workers:
            if fault := fault_of(engine_image, worker):
                yield fault


def images_are_references(inputs: RuleInputs) -> Iterator[FieldError]:
    """An ``image`` contains no white space and is no longer than an image reference may be.

    Upstream's A5 and H1.
    """
    for form, _ in inputs.backends:
        for worker in form.workers:
            image = worker.image
            if len(image) > MAX_IMAGE_BYTES:
                yield too_long(worker.path.child("image"), MAX_IMAGE_BYTES)
                continue
            # The space is the only printable white space.
            if (" " in image or not image.isprintable()) and any(map(str.isspace, image)):
                blank = worker.image.isspace()
                yield invalid(
                    worker.path.child("image"),
                    worker.image,
                    "invalid container image reference: image cannot "
                    + ("be empty or whitespace only" if blank else "contain whitespace"),
                )


def config_is_plain(inputs: RuleInputs) -> Iterator[FieldError]:
    """``config`` is small, not deeply nested, and can become command-line arguments.

    The fault does not show the value, because it is too large, too deep or not printable.
    """
    for path, fault in inputs.config_faults:
        yield FieldError(path, Cause.INVALID, f"Invalid value: {fault}")


def arguments_are_said_once(inputs: RuleInputs) -> Iterator[FieldError]:
    """``config`` sets each argument once; ``max_model_len`` and ``max-model-len`` are the same."""
    for form in inputs.readable_backends:
        for worker in form.workers:
            if fault := fault_of(arguments, worker):
                yield fault


def engine_ports_agree(inputs: RuleInputs) -> Iterator[FieldError]:
    """``port`` in ``config`` is a TCP port, the same for all workers of a backend.

    Upstream's H2 and H3.
    """
    for form in inputs.readable_backends:
        if fault := fault_of(engine_port, form):
            yield fault


def sidecar_has_a_port(inputs: RuleInputs) -> Iterator[FieldError]:
    """``RUNTIME_PORT`` of ``env`` is a TCP port, and not the engine's."""
    for form in inputs.readable_backends:
        fault = fault_of(runtime_port, form)
        if fault and not fault_of(engine_port, form):
            yield fault


def served_names_agree(inputs: RuleInputs) -> Iterator[FieldError]:
    """``served-model-name`` is one name of at most 256 characters, the same for all workers."""
    for form in inputs.readable_backends:
        if fault := fault_of(served_model_name, inputs.model, form):
            yield fault


def adapters_are_named_once(inputs: RuleInputs) -> Iterator[FieldError]:
    """``config`` sets neither ``lora-modules`` nor ``lora-paths`` if ``loraAdapters`` is set."""
    for form in inputs.readable_backends:
        for worker in form.workers if form.lora_adapters else ():
            fault = fault_of(check_adapters, form, worker)
            if fault and not fault_of(arguments, worker):
                yield fault


def transfers_fit(inputs: RuleInputs) -> Iterator[FieldError]:
    """The ``kv-transfer-config`` of prefill and decode match.

    Upstream's H5.
    """
    for form in inputs.readable_backends:
        if fault := fault_of(connector, form):
            yield fault


def caches_are_usable(inputs: RuleInputs) -> Iterator[FieldError]:
    """``cacheURI`` names one claim, or a directory of the node that the cluster operator allows.

    Upstream's H8 for claims.
    """
    prefixes = inputs.context.options.host_path_prefixes
    for form, _ in inputs.backends:
        if fault := fault_of(cache_of, form, prefixes):
            yield fault


def claims_hold_their_models(inputs: RuleInputs) -> Iterator[FieldError]:
    """A model or adapter with ``pvc://`` is on the claim that ``cacheURI`` names.

    Upstream's H6, H7 and H9.
    """
    for form, _ in inputs.backends:
        try:
            cache = cache_of(form)
        except SpecError:
            continue  # ``caches_are_usable`` reports it
        if fault := fault_of(model_path, form, cache):
            yield fault
        for position in range(len(form.lora_adapters)):
            if fault := fault_of(adapter_path, form, cache, position):
                yield fault
