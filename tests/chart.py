"""The chart, rendered by the real helm."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

import yaml

from app.values.meta import Object
from tests.controlplane import clients

CHART = Path(__file__).parents[1] / "charts" / "model-booster"
VALUES_FILES = tuple(sorted(path.name for path in (CHART / "ci").glob("*-values.yaml")))
RELEASE, NAMESPACE = "demo", "booster"
FULLNAME = "demo-model-booster"
WEBHOOK, CONTROLLER = f"{FULLNAME}-webhook", f"{FULLNAME}-controller"


def helm(
    *arguments: str, major: int = 4, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs helm, away from whatever configuration this machine has."""
    return subprocess.run(
        [clients.helm(major), *arguments],
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(environment or {})},
    )


def render(*arguments: str, major: int = 4) -> list[Object]:
    """Returns the objects that the chart makes with these arguments.

    Raises:
        AssertionError: helm refuses them; the text is what it says.
    """
    said = helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, *arguments, major=major)
    assert said.returncode == 0, said.stderr
    return [obj for obj in yaml.load_all(said.stdout, Loader=yaml.CSafeLoader) if obj]


@cache
def rendered(values_file: str = "default-values.yaml", major: int = 4) -> tuple[Object, ...]:
    """Returns the objects that the chart makes with one of its own files of values."""
    return tuple(render("--values", str(CHART / "ci" / values_file), major=major))


def one(objects: tuple[Object, ...] | list[Object], kind: str, name: str) -> Object:
    """Returns the one object of this kind and name."""
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    return found


def of_kind(objects: tuple[Object, ...] | list[Object], kind: str) -> list[Object]:
    """Returns the objects of a kind."""
    return [obj for obj in objects if obj["kind"] == kind]


def container(deployment: Object) -> Object:
    """Returns the one container of a Deployment's pods."""
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def deployments(values_file: str = "default-values.yaml") -> list[Object]:
    """Returns both Deployments."""
    return of_kind(rendered(values_file), "Deployment")
