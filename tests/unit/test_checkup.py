"""The checks of ``model-booster doctor`` as functions, and how their results look."""

from __future__ import annotations

import json
from base64 import b64encode
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.apis.kinds import CHILDREN, KthenaRelease, Profile
from app.errors import Unreachable
from app.installed import Installed
from app.values.meta import Object
from certs.pki import new_authority, new_leaf
from modelbooster.checkup.checks.kthena import controllers_flag
from modelbooster.checkup.facts import Facts, Outcome, Probe, Reviewed, Right, Seen
from modelbooster.checkup.finding import Finding, Result, Status
from modelbooster.checkup.report import report_summary, report_text
from modelbooster.checkup.table import CHECKS, check_all, has_failed
from modelbooster.cli.output import Screen
from modelbooster.dashboard.source import Source
from tests import screens
from tests.builders import backend, stored_object, worker
from tests.checkup import AUTHORITY, NAMESPACE, NOW, deployment, facts, hook, kthena, lease, secret

OTHER = new_authority("other", NOW, timedelta(days=365))


def found(check: str, seen: Facts) -> Finding:
    (finding,) = [c.run(seen) for c in CHECKS if c.name == check]
    return finding


def test_a_healthy_cluster() -> None:
    results = check_all(facts())
    assert [r for r in results if r.finding.status is not Status.OK] == []
    assert not has_failed(results)


@pytest.mark.parametrize(
    ("field", "checks"),
    [
        ("deployments", {"deployments", "version", "leader", "certificate", "helper-images"}),
        ("managers", {"kthena-booster", "kthena-serving"}),
        ("routers", {"kthena-router"}),
        ("validating", {"webhook-config", "webhook-endpoints", "other-webhooks", "ca-bundle"}),
        ("certificates", {"certificate"}),
        ("leases", {"leader"}),
        ("nodes", {"accelerators"}),
        ("boosters", {"stored-objects", "volcano", "engine-images"}),
        ("rights", {"your-rights"}),
        ("operator_rights", {"operator-rights"}),
    ],
)
def test_a_missing_right_is_named(field: str, checks: set[str]) -> None:
    lacking = Reviewed(lacks="do this") if "rights" in field else Seen(lacks="do this")
    results = {r.check: r.finding for r in check_all(facts(**{field: lacking}))}
    skipped = {name for name, f in results.items() if f.message == "you may not do this"}
    assert checks <= skipped
    assert {results[name].status for name in skipped} == {Status.SKIPPED}


def provided(**dates: int) -> Facts:
    """A certificate from a Secret, for so many days."""
    leaf = new_leaf(
        AUTHORITY,
        [f"model-booster-webhook.{NAMESPACE}.svc"],
        NOW,
        timedelta(days=dates.get("days", 90)),
    )
    webhook = deployment("webhook", CERTIFICATE_MODE="provided")
    webhook["spec"]["template"]["spec"]["volumes"] = [
        {"name": "tls", "secret": {"secretName": "mine"}}
    ]
    stored = secret(leaf, "tls.crt", "tls.key")
    return facts(
        deployments=Seen((webhook, deployment("controller"))), certificates=Seen((stored,))
    )


def short_of_pods(ready: int) -> Facts:
    webhook = deployment("webhook")
    webhook["status"] = {"availableReplicas": ready}
    return facts(deployments=Seen((webhook, deployment("controller"))))


def installed(**changes: Any) -> Facts:
    return facts(installed=replace(facts().installed, **changes))


def trusting(*hooks: Object) -> Facts:
    return facts(validating=Seen(({"metadata": {"name": "w"}, "webhooks": list(hooks)},)))


def without_bundle() -> Object:
    broken = deepcopy(hook("validate"))
    broken["clientConfig"]["caBundle"] = b64encode(b"none").decode()
    return broken


def storing(*boosters: Object) -> Facts:
    return facts(boosters=Seen(boosters))


FAULTS = {
    "old Kubernetes": ("api-server", facts(version="v1.29.3"), "failed", "1.30 or later"),
    "no definition": (
        "modelbooster-crd",
        facts(serves_boosters=False),
        "failed",
        "is not installed",
    ),
    "a lost backend": (
        "stored-objects",
        storing({**stored_object("a"), "spec": {}, "status": {"modelName": ""}}),
        "failed",
        "1 ModelBooster without a backend: default/a",
    ),
    "nothing installed": (
        "deployments",
        facts(deployments=Seen()),
        "failed",
        "the webhook and the controller of model-booster are not installed",
    ),
    "some pods": ("deployments", short_of_pods(1), "warning", "model-booster-webhook 1/2"),
    "no pods": ("deployments", short_of_pods(0), "failed", "not available"),
    "a silent leader": (
        "leader",
        facts(leases=Seen((lease(seconds_ago=100),))),
        "failed",
        "has not renewed the Lease model-booster-system/model-booster-controller for 100 s",
    ),
    "an empty Secret": (
        "certificate",
        facts(certificates=Seen(({"metadata": {}},))),
        "failed",
        "there is none yet",
    ),
    "an ended authority": (
        "ca-bundle",
        facts(now=NOW + timedelta(days=400)),
        "failed",
        "every authority in caBundle has ended",
    ),
    "another authority": (
        "ca-bundle",
        facts(certificates=Seen((secret(OTHER),))),
        "failed",
        "the caBundle of 3 of 3 webhooks is not the authority in the Secret",
    ),
    "no bundle": ("ca-bundle", trusting(without_bundle()), "failed", "1 of 2 webhooks without"),
    "an ending certificate": ("certificate", provided(days=9), "warning", "ends in 9 days"),
    "an ended certificate": (
        "certificate",
        replace(provided(days=9), now=NOW + timedelta(days=10)),
        "failed",
        "rejects the certificate",
    ),
    "an untrusted certificate": (
        "certificate",
        replace(provided(), validating=trusting(hook("validate", authority=OTHER)).validating),
        "failed",
        "none of the trusted authorities signed it",
    ),
    "a webhook that times out": (
        "webhook-admits",
        facts(
            admitted=Probe(
                Outcome.ERROR,
                'Internal error occurred: failed calling webhook "validate-x": failed to call '
                'webhook: Post "https://x.y.svc:443/validate?timeout=5s": context deadline '
                "exceeded",
            )
        ),
        "failed",
        "the API server cannot call the webhook: context deadline exceeded",
    ),
    "a quota": (
        "webhook-admits",
        facts(admitted=Probe(Outcome.REFUSED, "exceeded\nquota")),
        "failed",
        "a valid ModelBooster is rejected: exceeded quota",
    ),
    "no kthena": (
        "kthena-crds",
        installed(kinds=(), profile=None),
        "failed",
        "AutoscalingPolicy, AutoscalingPolicyBinding, ModelServing, ModelServer, ModelRoute",
    ),
    "an unknown form": ("kthena-crds", installed(profile=None), "failed", "is not known"),
    "an unknown release": ("kthena-release", installed(release=None), "warning", "is not known"),
    "no manager": (
        "kthena-serving",
        facts(managers=Seen()),
        "failed",
        "no Deployment kthena-controller-manager found: no pods are started",
    ),
    "no serving controller": (
        "kthena-serving",
        facts(managers=Seen((kthena("kthena-controller-manager", "--controllers=autoscaler"),))),
        "failed",
        "the serving controller is turned off",
    ),
    "an old kthena": (
        "kthena-booster",
        facts(
            managers=Seen(
                (kthena("kthena-controller-manager", image="x/kthena-controller-manager:v0.2.0"),)
            )
        ),
        "failed",
        "kthena v0.2.0 cannot turn it off",
    ),
    "no scheduler": (
        "volcano",
        replace(
            storing(stored_object("g", backend(schedulerName="volcano"))),
            groups=frozenset({"scheduling.volcano.sh"}),
        ),
        "failed",
        "Volcano's scheduler does not run, but default/g needs it",
    ),
    "a moving downloader": (
        "helper-images",
        facts(deployments=Seen((deployment("controller", DOWNLOADER_IMAGE="r:5000/down:latest"),))),
        "warning",
        "the tag of r:5000/down:latest moves",
    ),
    "no such device": (
        "accelerators",
        storing(
            stored_object(
                "a", backend(workers=[worker(resources={"limits": {"amd.com/gpu": "1"}})])
            )
        ),
        "warning",
        "default/a asks for 1 amd.com/gpu per pod; a node offers none",
    ),
    "another namespace": (
        "installations",
        facts(deployments=Seen((deployment("controller", NAMESPACES="a,b"),))),
        "warning",
        "the operator serves the namespaces a, b, not your namespace default",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_fault(case: str) -> None:
    check, seen, status, text = FAULTS[case]
    finding = found(check, seen)
    assert (finding.status, "\n" in finding.message) == (status, False)
    assert text in finding.message
    assert finding.remedy or finding.note or case == "a quota"


@pytest.mark.parametrize(
    ("container", "value", "is_on", "off"),
    [
        ({}, "*", True, "*,-modelbooster"),
        ({"args": ["--controllers=*"]}, "*", True, "*,-modelbooster"),
        ({"args": ["--controllers", "+modelserving,+modelbooster"]},
         "+modelserving,+modelbooster", True, "+modelserving"),
        ({"command": ["m", "-controllers=modelbooster"]}, "modelbooster", True, "-modelbooster"),
        ({"args": ["--controllers=*,-modelbooster"]}, "*,-modelbooster", False,
         "*,-modelbooster,-modelbooster"),
        ({"args": ["--controllers=modelserving,autoscaler"]}, "modelserving,autoscaler", False,
         "modelserving,autoscaler"),
    ],
)  # fmt: skip
def test_controllers_of_kthena(container: Object, value: str, is_on: bool, off: str) -> None:
    flag = controllers_flag(kthena("kthena-controller-manager", **container))
    assert (flag.value, flag.has("modelbooster"), flag.without("modelbooster")) == (
        value,
        is_on,
        off,
    )


def test_lease_without_a_time_is_no_error() -> None:
    seen = facts(leases=Seen(({"spec": {"holderIdentity": "pod_1"}},)))
    assert found("leader", seen).message.startswith("pod holds the Lease ")


def test_all_profiles_have_a_release() -> None:
    for profile in Profile:
        seen = facts(installed=Installed(profile, CHILDREN))
        assert found("kthena-crds", seen).status is Status.OK


def sick() -> list[Result]:
    """Every status, long lines and long commands."""
    denied = {"": tuple(Right(verb, "modelboosters.x", "", "default") for verb in ("get", "list"))}
    webhook = deployment("webhook")
    webhook["status"] = {}
    return check_all(
        facts(
            deployments=Seen((webhook, deployment("controller"))),
            managers=Seen((kthena("kthena-controller-manager"),)),
            rights=Reviewed(denied, 27),
            nodes=Seen(lacks="list nodes"),
            installed=Installed(
                Profile.B, CHILDREN, ("spec.backends",), "", KthenaRelease(0, 4, 0)
            ),
            admitted=Probe(
                Outcome.ERROR,
                'failed calling webhook "v": failed to call webhook: Post "https://x": dial tcp '
                "10.96.3.4:443: connect: connection refused",
            ),
        )
    )


@pytest.mark.parametrize("name", ["healthy", "sick"])
@pytest.mark.parametrize("width", [80, 200])
def test_screen(name: str, width: int) -> None:
    results = check_all(facts()) if name == "healthy" else sick()
    screen = report_text(results, width, Screen(width).style)
    screens.check(f"doctor-{name}-{width}", screen)
    commands = [line for line in screen.splitlines() if line.lstrip().startswith("$ ")]
    assert all(len(line) <= width for line in screen.splitlines() if line not in commands)


def test_without_a_terminal_each_finding_is_one_line() -> None:
    results = sick()
    lines = report_text(results, None, Screen().style).splitlines()
    for result in results:
        assert any(line.endswith(result.finding.message) for line in lines)


def test_summary() -> None:
    results = sick()
    summary = report_summary(results)
    assert summary["counts"] == {"ok": 19, "warning": 1, "failed": 4, "skipped": 1}
    assert summary["checks"][0] == {
        "check": "api-server",
        "status": "ok",
        "message": "Kubernetes v1.34.1, context prod, user admin",
        "remedy": [],
        "note": "",
    }
    assert yaml.safe_load(yaml.safe_dump(summary)) == summary


def test_page_lists_every_check() -> None:
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
    _, _, table = page.partition("## Checks")
    listed = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert listed == [check.name for check in CHECKS]


async def _read(source: Source) -> bytes:
    return (await source.current()).body


@pytest.mark.anyio
async def test_dashboard_reads_seldom_and_keeps_the_last_state() -> None:
    now, taken = [0.0], [0.0]
    answers: list[Object | Exception] = [{"models": [1]}, Unreachable("gone"), {"models": [2]}]

    async def read() -> Object:
        now[0] += taken[0]
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    source = Source(read, clock=lambda: now[0])
    first = await source.current()
    assert await source.current() is first, "several pages share one reading"
    now[0] += 2
    away = json.loads(await _read(source))
    assert (away["models"], away["error"]) == ([1], "gone")
    now[0] += 2
    taken[0] = 10.0
    assert json.loads(await _read(source)) == {"models": [2], "error": ""}
    now[0] += 19
    assert json.loads(await _read(source))["models"] == [2], "a slow cluster is asked less often"
    assert not answers
