"""The Prometheus Operator's own schemas accept the chart's monitors and alerts, without a typo."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.values.meta import Object, Resource
from tests.chart import VALUES_FILES, of_kind, rendered
from tests.controlplane import crds
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane
from tests.world import Admin

GROUP = "monitoring.coreos.com"
RESOURCES = [
    Resource(GROUP, "v1", "servicemonitors", "ServiceMonitor"),
    Resource(GROUP, "v1", "podmonitors", "PodMonitor"),
    Resource(GROUP, "v1", "prometheusrules", "PrometheusRule"),
]
KINDS = pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
MONITOR = ("interval", "scrapeTimeout", "relabelings", "metricRelabelings", "annotations")
OPTIONS = {
    "ServiceMonitor": MONITOR,
    "PodMonitor": MONITOR,
    "PrometheusRule": ("annotations", "runbook_url", "for"),
}
"""Fields that a value of the chart sets, and that one of its files of values must show."""

STRICT = {"fieldValidation": "Strict", "dryRun": "All"}


@pytest.fixture(scope="module", autouse=True)
def definitions(plane: ControlPlane) -> None:
    crds.install(plane.api, crds.children("monitoring"))


def monitors(resource: Resource) -> Iterator[Object]:
    """Returns what the chart renders with each values file; one of them sets every value."""
    for file in VALUES_FILES:
        yield from of_kind(rendered(file), resource.kind)


def create(admin: Admin, resource: Resource, obj: Object) -> None:
    here = {**obj, "metadata": {**obj["metadata"], "namespace": admin.namespace}}
    admin.api.request("POST", admin.path(resource), here, params=STRICT)


@KINDS
def test_every_field_is_known(admin: Admin, resource: Resource) -> None:
    found = [*monitors(resource)]
    for obj in found:
        create(admin, resource, obj)
    text = str(found)
    for option in OPTIONS[resource.kind]:
        assert f"'{option}'" in text


@KINDS
def test_a_field_that_is_unknown_is_refused(admin: Admin, resource: Resource) -> None:
    obj = next(monitors(resource))
    with pytest.raises(Refused, match=r'unknown field "spec\.intervall"'):
        create(admin, resource, {**obj, "spec": {**obj["spec"], "intervall": "30s"}})
