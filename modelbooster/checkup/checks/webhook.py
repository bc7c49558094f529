"""Checks of the admission webhook: its registration, its endpoints and its answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.apis.kinds import MODEL_BOOSTER
from app.values.meta import Object
from app.values.untyped import as_dict, as_list
from certs.objects import WEBHOOK_NAMES, calls_us
from modelbooster.checkup.facts import Facts, Outcome
from modelbooster.checkup.finding import Finding, failed, ok, skipped, warning, without_right
from modelbooster.checkup.installation import Installation, installation_in
from modelbooster.checkup.text import count, listed, one_line

_VALIDATE = "validate-modelbooster.workload.serving.volcano.sh"
_CAUSE = re.compile(r'failed calling webhook "[^"]*": (?:failed to call webhook: )?(.*)')
_URL = re.compile(r'Post "[^"]*": ')


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook in a configuration.

    Args:
        configuration: kind and name of the configuration.
        content: the webhook.
    """

    configuration: str
    content: Object

    @property
    def name(self) -> str:
        """Name of the webhook."""
        return str(self.content.get("name", ""))


def our_hooks(facts: Facts) -> list[Hook]:
    """Returns the webhooks that call us."""
    return [hook for hook in _hooks(facts) if hook.name in WEBHOOK_NAMES]


def foreign_hooks(facts: Facts) -> list[Hook]:
    """Returns the webhooks of others that are called for ModelBoosters, such as kthena's own."""
    return [
        hook
        for hook in _hooks(facts)
        if hook.name not in WEBHOOK_NAMES
        and any(
            MODEL_BOOSTER.group in as_list(rule.get("apiGroups"))
            and MODEL_BOOSTER.plural in as_list(rule.get("resources"))
            for rule in map(as_dict, as_list(hook.content.get("rules")))
        )
    ]


def webhook_registration(facts: Facts) -> Finding:
    """The API server is told to ask our webhook, and to reject what it cannot ask about."""
    if lacks := facts.validating.lacks or facts.mutating.lacks:
        return without_right(lacks)
    installation = installation_in(facts.deployments.items)
    hooks = {hook.name: hook for hook in our_hooks(facts)}
    if _VALIDATE not in hooks:
        return failed(
            "no ValidatingWebhookConfiguration asks model-booster: ModelBoosters are stored "
            "unchecked",
            installation.restore(),
        )
    if not any(map(calls_us, facts.mutating.items)):
        return warning("no MutatingWebhookConfiguration asks model-booster", installation.restore())
    if hooks[_VALIDATE].content.get("failurePolicy") != "Fail":
        return warning(
            "failurePolicy is Ignore: while the webhook does not answer, ModelBoosters are stored"
            " unchecked",
            installation.change("webhook.failurePolicy=Fail"),
        )
    return ok(f"{count(len(hooks), 'webhook')} registered, failurePolicy Fail")


def webhook_endpoints(facts: Facts) -> Finding:
    """The Service of the webhook exists and has ready endpoints."""
    if lacks := facts.validating.lacks or facts.services.lacks or facts.endpoints.lacks:
        return without_right(lacks)
    installation = installation_in(facts.deployments.items)
    where = service_of(facts)
    if where is None:
        return skipped("no webhook is registered")
    namespace, name = where
    if facts.services.first is None:
        return failed(f"the Service {namespace}/{name} does not exist", installation.restore())
    ready = {
        address
        for piece in facts.endpoints.items
        for endpoint in map(as_dict, as_list(piece.get("endpoints")))
        if as_dict(endpoint.get("conditions")).get("ready") is not False
        for address in as_list(endpoint.get("addresses"))
    }
    if not ready:
        return failed(
            f"the Service {namespace}/{name} has no ready endpoint",
            f"kubectl -n {namespace} get pods -l app.kubernetes.io/component=webhook",
            installation.restore(),
            note="if the pods are ready, the selector of the Service was changed: helm restores it",
        )
    return ok(f"the Service {namespace}/{name} has {count(len(ready), 'ready endpoint')}")


def webhook_admits(facts: Facts) -> Finding:
    """A valid ModelBooster is admitted, in a dry run."""
    probe, installation = facts.admitted, installation_in(facts.deployments.items)
    if not facts.serves_boosters:
        return skipped("ModelBoosters are not served")
    if probe.outcome is Outcome.ADMITTED:
        return ok(f"a valid ModelBooster is admitted in namespace {probe.namespace} (dry run)")
    return _unexpected(facts, installation, f"a valid ModelBooster is rejected: {probe.message}")


def webhook_refuses(facts: Facts) -> Finding:
    """A ModelBooster that only our webhook rejects is rejected, in a dry run."""
    probe, installation = facts.refused, installation_in(facts.deployments.items)
    if not facts.serves_boosters:
        return skipped("ModelBoosters are not served")
    if probe.outcome is Outcome.REFUSED:
        return ok(f"a faulty ModelBooster is rejected in namespace {probe.namespace} (dry run)")
    return _unexpected(
        facts,
        installation,
        "a faulty ModelBooster is admitted: the API server does not ask the webhook",
    )


def other_webhooks(facts: Facts) -> Finding:
    """No other webhook, such as kthena's own, is asked about ModelBoosters."""
    if lacks := facts.validating.lacks or facts.mutating.lacks:
        return without_right(lacks)
    found = foreign_hooks(facts)
    if not found:
        return ok("no other webhook is asked about ModelBoosters")
    names = listed(f"{hook.name} in {hook.configuration}" for hook in found)
    kthena = [hook for hook in found if "kthena" in hook.configuration]
    if not kthena:
        return warning(f"another webhook is asked about ModelBoosters: {names}")
    return failed(
        f"kthena's own webhook is asked about ModelBoosters too: {names}",
        *_removals(facts, kthena),
        note="kthena's chart adds it again unless its webhook is off in the values",
    )


def service_of(facts: Facts) -> tuple[str, str] | None:
    """Returns namespace and name of the Service that our webhooks call; None if there is none."""
    for hook in our_hooks(facts):
        service = as_dict(as_dict(hook.content.get("clientConfig")).get("service"))
        if service:
            return str(service.get("namespace", "")), str(service.get("name", ""))
    return None


def cause_of(message: str) -> str:
    """Returns why the API server could not call a webhook, without address and path."""
    found = _CAUSE.search(message)
    return one_line(_URL.sub("", found[1])) if found else ""


def _unexpected(facts: Facts, installation: Installation, otherwise: str) -> Finding:
    """Returns the finding of a probe that was not answered as it should be."""
    probes = (facts.admitted, facts.refused)
    if any(probe.outcome is Outcome.FORBIDDEN for probe in probes):
        place = probes[0].namespace
        return without_right(f"create {MODEL_BOOSTER} in namespace {place}")
    restart = installation.restore()
    if webhook := installation.webhook:
        restart = f"kubectl -n {webhook.namespace} rollout restart deployment/{webhook.name}"
    for probe in probes:
        if cause := cause_of(probe.message):
            return failed(f"the API server cannot call the webhook: {cause}", restart)
    for probe in probes:
        if probe.outcome is Outcome.ERROR:
            return failed(f"the API server answers with an error: {one_line(probe.message)}")
    return failed(one_line(otherwise), installation.restore())


def _removals(facts: Facts, hooks: list[Hook]) -> Iterator[str]:
    """Yields the commands that delete webhooks from configurations, the last one first."""
    for kind, seen in _configurations(facts):
        for obj in seen:
            name = f"{kind}/{obj['metadata']['name']}"
            doomed = [
                position
                for position, content in enumerate(as_list(obj.get("webhooks")))
                if any(h.content is content for h in hooks)
            ]
            if doomed and len(doomed) == len(as_list(obj.get("webhooks"))):
                yield f"kubectl delete {name}"
            elif doomed:
                operations = ",".join(
                    f'{{"op":"remove","path":"/webhooks/{position}"}}'
                    for position in reversed(doomed)
                )
                yield f"kubectl patch {name} --type=json -p '[{operations}]'"


def _hooks(facts: Facts) -> Iterator[Hook]:
    for kind, seen in _configurations(facts):
        for obj in seen:
            for content in as_list(obj.get("webhooks")):
                yield Hook(f"{kind}/{obj['metadata']['name']}", content)


def _configurations(facts: Facts) -> tuple[tuple[str, tuple[Object, ...]], ...]:
    return (
        ("validatingwebhookconfiguration", facts.validating.items),
        ("mutatingwebhookconfiguration", facts.mutating.items),
    )
