"""Rules about TLS in the engine."""

from __future__ import annotations

from collections.abc import Iterator

from app.validation.inputs import RuleInputs
from app.validation.rules.running.given import served_arguments, value_of
from app.values.fields import FieldError, invalid


def keys_have_certificates(inputs: RuleInputs) -> Iterator[FieldError]:
    """``ssl-keyfile`` comes with ``ssl-certfile``."""
    for worker, given in inputs.arguments:
        key = value_of(worker, "ssl-keyfile") if "ssl-keyfile" in given else None
        if key is not None and value_of(worker, "ssl-certfile") is None:
            detail = "the engine ends at once without the certificate; set ssl-certfile as well"
            yield invalid(key.path, key.value, detail)


def router_speaks_http(inputs: RuleInputs) -> Iterator[str]:
    """The router sends requests to the engines in plain HTTP."""
    for worker, given in served_arguments(inputs):
        certificate = value_of(worker, "ssl-certfile") if "ssl-certfile" in given else None
        if certificate is None:
            continue
        yield (
            f"{certificate.path}: the router and the autoscaler of kthena speak plain HTTP to "
            "engines, so requests through the router fail; remove it and end TLS at the gateway"
        )
        if value_of(worker, "ssl-keyfile") is None:
            yield (
                f"{certificate.path}: without ssl-keyfile this file must hold the key as well; "
                "set ssl-keyfile if it does not"
            )
