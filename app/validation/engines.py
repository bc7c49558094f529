"""What the pods of a backend run: images, arguments, ports, and where models lie.

Most of these rules ask ``app.apis.derive`` and ``app.apis.storage`` for a fact that conversion
needs, so the two cannot disagree; the fault is the one with which the fact does not follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.apis.arguments import arguments
from app.apis.connector import connector
from app.apis.derive import (
    engine_port,
    runtime_port,
    served_model_name,
)
from app.apis.fields import Cause, FieldError, SpecError, invalid, required
from app.apis.storage import adapter_path, cache_of, model_path
from app.validation.case import Case


def images_are_named(case: Case) -> Iterator[FieldError]:
    """Of workers that become pods; the others are nobody's yet."""
    for form in case.readable:
        for worker in form.workers:
            if not worker.image:
                yield required(worker.path.child("image"), "the image of the engine")


def images_are_references(case: Case) -> Iterator[FieldError]:
    """Upstream's A5 and H1."""
    for form, _ in case.listed:
        for worker in form.workers:
            if any(map(str.isspace, worker.image)):
                blank = worker.image.isspace()
                yield invalid(
                    worker.path.child("image"),
                    worker.image,
                    "invalid container image reference: image cannot "
                    + ("be empty or whitespace only" if blank else "contain whitespace"),
                )


def config_is_plain(case: Case) -> Iterator[FieldError]:
    """Without the value: it is what is too large, too deep or not printable."""
    for path, fault in case.config_faults:
        yield FieldError(path, Cause.INVALID, f"Invalid value: {fault}")


def arguments_are_said_once(case: Case) -> Iterator[FieldError]:
    """``max_model_len`` and ``max-model-len`` are the same argument."""
    for form in case.readable:
        for worker in form.workers:
            yield from _fault(arguments, worker)


def engine_ports_agree(case: Case) -> Iterator[FieldError]:
    """Upstream's H2 and H3."""
    for form in case.readable:
        yield from _fault(engine_port, form)


def sidecar_has_a_port(case: Case) -> Iterator[FieldError]:
    """RUNTIME_PORT of ``env``."""
    for form in case.readable:
        if not any(_fault(engine_port, form)):
            yield from _fault(runtime_port, form)


def served_names_agree(case: Case) -> Iterator[FieldError]:
    """Prefill and decode answer to one name."""
    for form in case.readable:
        yield from _fault(served_model_name, case.model, form)


def transfers_fit(case: Case) -> Iterator[FieldError]:
    """Upstream's H5."""
    for form in case.readable:
        yield from _fault(connector, form)


def caches_are_usable(case: Case) -> Iterator[FieldError]:
    """Upstream's H8, and the folders of nodes that the operator of the cluster allows."""
    prefixes = case.context.options.host_path_prefixes
    for form, _ in case.listed:
        yield from _fault(cache_of, form, prefixes)


def claims_hold_their_models(case: Case) -> Iterator[FieldError]:
    """Upstream's H6, H7 and H9, for adapters too."""
    for form, _ in case.listed:
        try:
            cache = cache_of(form)
        except SpecError:
            continue  # the rule before has spoken
        yield from _fault(model_path, form, cache)
        for position in range(len(form.lora_adapters)):
            yield from _fault(adapter_path, form, cache, position)


def _fault(fact: Callable[..., object], *of: object) -> Iterator[FieldError]:
    """Yields the fault with which a fact does not follow."""
    try:
        fact(*of)
    except SpecError as exc:
        yield exc.fault
