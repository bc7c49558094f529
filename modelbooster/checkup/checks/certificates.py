"""Checks of the CA bundle in the webhook configurations, and of the certificates."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64

from app.values.meta import Object, annotations_of
from app.values.untyped import as_dict
from certs.objects import bundles_in, pair_in
from certs.pki import KeyPair, certificates, own_certificate
from certs.policy import authority_fault, formatted, leaf_fault
from modelbooster.checkup.checks.webhook import our_hooks, service_of
from modelbooster.checkup.facts import Facts
from modelbooster.checkup.finding import Finding, failed, ok, skipped, warning, without_right
from modelbooster.checkup.installation import Component, installation_in
from modelbooster.checkup.text import count

SOON_DAYS = 14
"""A provided certificate that ends earlier gets a warning. Ours are replaced in time."""

_INJECT = "cert-manager.io/inject-ca-from"


def ca_bundle(facts: Facts) -> Finding:
    """Each of our webhooks has a CA bundle, and trusts the present authority."""
    if lacks := facts.validating.lacks or facts.mutating.lacks:
        return without_right(lacks)
    bundles = _bundles(facts)
    if not bundles:
        return skipped("no webhook is registered")
    webhook = installation_in(facts.deployments.items).webhook
    remedy = _rewrite(facts, webhook)
    without = sum(1 for bundle in bundles if not certificates(bundle))
    if without:
        return failed(
            f"{without} of {count(len(bundles), 'webhook')} without a readable caBundle, so the "
            "API server trusts no certificate of the webhook",
            *remedy,
        )
    ended = [ca for b in bundles for ca in certificates(b) if facts.now >= ca.not_valid_after_utc]
    if len(ended) == sum(len(certificates(bundle)) for bundle in bundles):
        return failed("every authority in caBundle has ended", *remedy)
    authority = pair_in(facts.certificates.first)
    if webhook is None or facts.certificates.lacks or authority is None:
        return ok(f"{count(len(bundles), 'webhook')} with a caBundle")
    try:
        present = own_certificate(authority.cert)
    except ValueError:
        return ok(f"{count(len(bundles), 'webhook')} with a caBundle")
    strangers = sum(1 for bundle in bundles if present not in certificates(bundle))
    if strangers:
        return failed(
            f"the caBundle of {strangers} of {count(len(bundles), 'webhook')} is not the authority"
            f" in the Secret {_secret_name(webhook)}",
            *remedy,
        )
    return ok(f"{count(len(bundles), 'webhook')} trust the authority in {_secret_name(webhook)}")


def webhook_certificate(facts: Facts) -> Finding:
    """The authority, or the provided certificate, is valid and trusted."""
    if lacks := facts.deployments.lacks or facts.certificates.lacks:
        return without_right(lacks)
    webhook = installation_in(facts.deployments.items).webhook
    if webhook is None:
        return skipped("the webhook is not installed, or not visible to you")
    secret, name = facts.certificates.first, _secret_name(webhook)
    if is_provided(webhook):
        return _provided(facts, webhook, secret, name)
    pair = pair_in(secret)
    fault = authority_fault(pair, facts.now)
    if fault is not None or pair is None:
        return failed(
            f"the authority in the Secret {name} must be replaced: {fault}",
            *_rewrite(facts, webhook),
            note="the webhook replaces it at once when it runs and has the right to",
        )
    end = own_certificate(pair.cert).not_valid_after_utc
    return ok(f"the authority in the Secret {name} ends at {formatted(end)}; renewed in time")


def is_provided(webhook: Component) -> bool:
    """Whether the certificates come from a Secret that is not ours, for example cert-manager's."""
    return webhook.settings.get("CERTIFICATE_MODE", "self-managed") == "provided"


def secret_of(webhook: Component) -> str:
    """Returns the name of the Secret with the authority, or with the provided certificate."""
    if not is_provided(webhook):
        return webhook.settings.get("CERTIFICATE_SECRET", "")
    spec = as_dict(as_dict(as_dict(webhook.deployment.get("spec")).get("template")).get("spec"))
    for volume in map(as_dict, spec.get("volumes") or ()):
        if volume.get("name") == "tls":
            return str(as_dict(volume.get("secret")).get("secretName", ""))
    return ""


def _provided(facts: Facts, webhook: Component, secret: Object | None, name: str) -> Finding:
    data = as_dict((secret or {}).get("data"))
    pair = KeyPair(_decoded(data.get("tls.crt")), _decoded(data.get("tls.key")))
    service = service_of(facts)
    names = [f"{service[1]}.{service[0]}.svc"] if service else []
    bundles = _bundles(facts)
    trusted = next(iter(bundles), b"")
    if secret is None:
        return failed(f"the Secret {name} with the certificate does not exist", *_issue(facts))
    fault = leaf_fault(pair, names, trusted, facts.now)
    if fault is not None:
        return failed(f"the API server rejects the certificate in {name}: {fault}", *_issue(facts))
    end = own_certificate(pair.cert).not_valid_after_utc
    days = (end - facts.now).days
    if days < SOON_DAYS:
        return warning(
            f"the certificate in {name} ends in {count(days, 'day')}: {formatted(end)}",
            *_issue(facts),
        )
    return ok(f"the certificate in the Secret {name} ends at {formatted(end)} and is trusted")


def _issue(facts: Facts) -> tuple[str, ...]:
    """Returns the command that shows who has to issue the certificate."""
    for configuration in facts.validating.items:
        if reference := annotations_of(configuration).get(_INJECT):
            namespace, _, certificate = reference.partition("/")
            return (f"kubectl -n {namespace} describe certificate {certificate}",)
    webhook = installation_in(facts.deployments.items).webhook
    if webhook is None:
        return ()
    namespace, name = webhook.namespace, secret_of(webhook)
    return (
        f"kubectl -n {namespace} create secret tls {name} --cert=tls.crt --key=tls.key "
        "--dry-run=client -o yaml | kubectl apply -f -",
    )


def _rewrite(facts: Facts, webhook: Component | None) -> tuple[str, ...]:
    """Returns the command after which the webhook writes authority and bundle again."""
    if webhook is None:
        return (installation_in(facts.deployments.items).restore(),)
    if is_provided(webhook):
        return _issue(facts)
    return (f"kubectl -n {webhook.namespace} rollout restart deployment/{webhook.name}",)


def _bundles(facts: Facts) -> list[bytes]:
    found = [*facts.validating.items, *facts.mutating.items]
    bundles = [bundle for configuration in found for bundle in bundles_in(configuration)]
    return bundles if our_hooks(facts) else []


def _secret_name(webhook: Component) -> str:
    return f"{webhook.namespace}/{secret_of(webhook)}"


def _decoded(text: object) -> bytes:
    try:
        return b64decode(str(text or ""))
    except NotBase64:
        return b""
