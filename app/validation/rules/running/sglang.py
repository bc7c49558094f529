"""Rules about SGLang engines."""

from __future__ import annotations

from collections.abc import Iterator

from app.apis.kinds import Profile
from app.model.roles import SGLANG_DISAGGREGATED
from app.validation.inputs import RuleInputs
from app.validation.rules.running.given import served_arguments, value_of
from app.values.fields import FieldError, forbidden, invalid

BOOTSTRAP_PORT = "8998"
"""The port on which the router expects the prefill engine; SGLang's default."""

_ROUTED_SINCE = "v0.4.0"
"""The first kthena release whose router passes requests from prefill to decode of SGLang."""


def sglang_roles_are_routed(inputs: RuleInputs) -> Iterator[FieldError]:
    """The installed kthena routes prefill and decode of SGLang."""
    if inputs.context.profile is not Profile.A:
        return
    for form, _ in inputs.backends:
        if form.type == SGLANG_DISAGGREGATED:
            detail = (
                f"the router of kthena v0.1.0, which is installed, cannot use {form.type}; "
                f"kthena {_ROUTED_SINCE} and later can, and type SGLang works with every release"
            )
            yield forbidden(form.path.child("type"), detail)


def bootstrap_port_is_the_default(inputs: RuleInputs) -> Iterator[FieldError]:
    """``disaggregation-bootstrap-port`` of prefill is the port that the router expects."""
    for form, worker in inputs.served_workers:
        if form.type != SGLANG_DISAGGREGATED:
            continue
        port = value_of(worker, "disaggregation-bootstrap-port")
        if port is not None and port.text != BOOTSTRAP_PORT:
            detail = f"kthena's router expects {BOOTSTRAP_PORT}, the default; leave it out"
            yield invalid(port.path, port.value, detail)


def sglang_roles_need_a_release(inputs: RuleInputs) -> Iterator[str]:
    """The kinds of kthena v0.2.0 to v0.4.0 look alike, but only the last routes these backends."""
    if inputs.context.release_profile is not Profile.B:
        return
    for form, _ in inputs.backends:
        if form.type == SGLANG_DISAGGREGATED:
            yield (
                f"{form.path}.type: the router of kthena before {_ROUTED_SINCE} cannot use "
                f"{form.type}; check the release of the installed router"
            )


def engines_listen_for_other_pods(inputs: RuleInputs) -> Iterator[str]:
    """Probes and requests come from other addresses than localhost."""
    for worker, given in served_arguments(inputs):
        host = value_of(worker, "host") if "host" in given else None
        if host is not None and (host.text in ("localhost", "::1") or host.text.startswith("127.")):
            yield f"{host.path}: nothing outside the pod reaches {host.text}; leave host out"
