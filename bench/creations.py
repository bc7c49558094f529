"""Measures what the creation of a ModelBooster costs the API server, and creations per second.

``off``: no webhooks. The definitions of this checkout, of another build and of kthena, ours without
CEL rules, and one that checks nothing are installed side by side in one API server, each in a group
of its own. Counted is the CPU time of the API server's process.

``on``: both webhooks. Each build has a control plane where the chart, its own definition and its
webhook run. Counted are creations per second, and the CPU time of the API server and of the
webhook. The controller is not running.

A round creates ``--count`` objects of each definition, in portions that alternate, so that other
work on the machine meets all of them. Printed is the median of the rounds (least-most), and the
same of the ratios within each round.

    python -m bench.creations [--base CHECKOUT] [--pairs 5] [--count 400] [--json FILE]

CHECKOUT is another build with its ``.venv``. Without one, only ``off`` is measured. Ends with 1 if
our definition costs more than ``MOST_OF_KTHENA`` times what kthena's does.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.apis.kinds import MODEL_BOOSTER
from app.kube import Kube, connect
from app.values.meta import Object, Resource
from bench._conclusion import concluded
from bench._corpus import corpus
from bench._processes import cpu_seconds
from tests.controlplane import crds
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import Installation
from tests.e2e.kubelet import serving_process

NAMESPACE = "default"
PARALLEL = 16
PORTIONS = 10
SIZES = ("small", "medium", "large")
LARGE_SHARE = 0.2
"""Share of ``--count`` that is created of large objects."""

MOST_OF_KTHENA = 1.5
"""Limit of CPU per creation of a small object, as a multiple of kthena's definition."""

PRINT_DEFINITION = """\
import json
from app.apis.crd import model_booster_crd
print(json.dumps(model_booster_crd()))
"""
NOT_AUDITED = """\
apiVersion: audit.k8s.io/v1
kind: Policy
rules: [{level: None}]
"""

API_SERVER, SECONDS = "API server ms", "ms passed"
Round = dict[str, dict[str, float]]
"""Milliseconds for each object, by target and column."""


@dataclass(frozen=True)
class Target:
    """Where objects are created.

    Args:
        plane: the control plane.
        resource: their kind there.
        processes: whose CPU time is counted, by column.
    """

    plane: ControlPlane
    resource: Resource
    processes: dict[str, int]


def definition_of(checkout: Path) -> Object:
    """Returns the definition that a checkout generates."""
    command = [str(checkout / ".venv/bin/python"), "-c", PRINT_DEFINITION]
    done = subprocess.run(command, cwd=checkout, check=True, capture_output=True)
    definition: Object = json.loads(done.stdout)
    return definition


def unchecked() -> Object:
    """Returns a definition that neither checks nor prunes anything: the floor."""
    definition = copy.deepcopy(crds.model_booster())
    [version] = definition["spec"]["versions"]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version["schema"] = {"openAPIV3Schema": schema}
    return definition


def without_rules(schema: Any) -> Any:
    """Returns a schema without its CEL rules."""
    if isinstance(schema, dict):
        kept = {key: value for key, value in schema.items() if key != "x-kubernetes-validations"}
        return {key: without_rules(value) for key, value in kept.items()}
    return [without_rules(item) for item in schema] if isinstance(schema, list) else schema


def moved(definition: Object, name: str) -> tuple[Object, Resource]:
    """Returns a definition as one of a group of its own, and the kind that it defines."""
    kind = f"Booster{name}"
    resource = replace(MODEL_BOOSTER, group=f"{name}.example.org", plural=kind.lower(), kind=kind)
    spec = {
        **definition["spec"],
        "group": resource.group,
        "names": {"kind": kind, "plural": resource.plural, "singular": resource.plural},
    }
    return {**definition, "metadata": {"name": str(resource)}, "spec": spec}, resource


def objects(resource: Resource, size: str, count: int, seed: str) -> list[Object]:
    """Returns objects of a size as a user writes them; no two are alike."""
    found = []
    for review in corpus(size, count, seed):
        sent = review["request"]["object"]
        metadata = {"name": sent["metadata"]["name"], "namespace": NAMESPACE}
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        found.append({**kind, "metadata": metadata, "spec": sent["spec"]})
    return found


async def create(kube: Kube, target: Target, made: list[Object]) -> dict[str, float]:
    """Creates objects; returns the CPU seconds of each process, and the seconds that passed."""
    slots = asyncio.Semaphore(PARALLEL)

    async def one(obj: Object) -> None:
        async with slots:
            await kube.create(target.resource, obj)

    before = {name: cpu_seconds(process) for name, process in target.processes.items()}
    began = time.monotonic()
    await asyncio.gather(*map(one, made))
    seconds = time.monotonic() - began
    after = {name: cpu_seconds(process) for name, process in target.processes.items()}
    return {**{name: after[name] - before[name] for name in before}, SECONDS: seconds}


async def one_round(
    targets: dict[str, Target], kubes: dict[str, Kube], size: str, count: int, seed: str
) -> Round:
    """Creates objects of each target in turn; returns milliseconds for each object."""
    spent = {name: dict.fromkeys([*targets[name].processes, SECONDS], 0.0) for name in targets}
    portion = max(1, count // PORTIONS)
    for turn in range(PORTIONS):
        order = list(targets.items())
        for name, target in order if turn % 2 else reversed(order):
            made = objects(target.resource, size, portion, f"{size} {seed} {turn}")
            for column, seconds in (await create(kubes[name], target, made)).items():
                spent[name][column] += seconds
    for target in targets.values():
        await asyncio.to_thread(target.plane.api.request, "DELETE", target.resource.path(NAMESPACE))
    created = portion * PORTIONS
    return {
        name: {column: 1000 * seconds / created for column, seconds in columns.items()}
        for name, columns in spent.items()
    }


async def alternating(targets: dict[str, Target], size: str, pairs: int, count: int) -> list[Round]:
    """Returns the figures of each round; one before them warms up and opens the connections."""
    async with AsyncExitStack() as stack:
        kubes = {
            name: await stack.enter_async_context(connect(str(target.plane.kubeconfig)))
            for name, target in targets.items()
        }
        turns = range(pairs + 1)
        return [await one_round(targets, kubes, size, count, str(turn)) for turn in turns][1:]


@contextmanager
def without_webhooks(definitions: dict[str, Object]) -> Iterator[dict[str, Target]]:
    """Runs one control plane with all definitions."""
    plane = ControlPlane()
    (plane.folder / "audit-policy.yaml").write_text(NOT_AUDITED)
    with plane:
        moves = {name: moved(definition, name) for name, definition in definitions.items()}
        crds.install(plane.api, [definition for definition, _ in moves.values()])
        api_server = {API_SERVER: plane.process_id("kube-apiserver")}
        yield {name: Target(plane, resource, api_server) for name, (_, resource) in moves.items()}


@contextmanager
def with_webhooks(checkout: Path, definition: Object, folder: Path) -> Iterator[Target]:
    """Runs a control plane where the chart is installed with the program of a checkout."""
    plane = ControlPlane()
    (plane.folder / "audit-policy.yaml").write_text(NOT_AUDITED)
    program = [str(checkout / ".venv/bin/python"), "-m", "modelbooster"]
    with plane:
        plane.start_controllers()
        crds.install(plane.api, crds.children("B"))
        values = {"controller.replicaCount": 0}
        with Installation(plane, folder, values, program=program, checkout=checkout) as installed:
            crds.install(plane.api, [definition])
            [webhook] = installed.kubelet.pods("webhook").values()
            assert webhook.process
            processes = {
                API_SERVER: plane.process_id("kube-apiserver"),
                "webhook ms": serving_process(webhook.process.pid),
            }
            yield Target(plane, MODEL_BOOSTER, processes)


def spread(values: list[float], digits: int = 2) -> str:
    """Returns the median of values, with least and most."""
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f}-{most:.{digits}f})"


def show(title: str, rounds: list[Round]) -> None:
    """Prints each target's figures, and the ratio of ours to them."""
    for name, columns in rounds[0].items():
        cells = []
        for column in columns:
            ratios = [one["ours"][column] / one[name][column] for one in rounds]
            cells.append(
                f"{column} {spread([one[name][column] for one in rounds])}"
                + ("" if name == "ours" else f", ours {spread(ratios)} of it")
            )
        print(f"{title:<11} {name:<9} {'; '.join(cells)}", flush=True)


def main() -> int:
    """Measures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, help="checkout of another build, with its .venv")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--json", type=Path, help="file for all figures")
    given = parser.parse_args()
    found: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} processors"}
    ours, base = crds.model_booster(), definition_of(given.base) if given.base else None
    counts = {size: int(given.count * (LARGE_SHARE if size == "large" else 1)) for size in SIZES}
    definitions = {
        **({"base": base} if base else {}),
        "ours": ours,
        "norules": without_rules(ours),
        "kthena": crds.kthena_booster("v0.1.0"),
        "unchecked": unchecked(),
    }
    with without_webhooks(definitions) as targets:
        for size in given.sizes:
            found[f"off {size}"] = asyncio.run(
                alternating(targets, size, given.pairs, counts[size])
            )
            show(f"off {size}", found[f"off {size}"])
    if base:
        with (
            tempfile.TemporaryDirectory() as name,
            with_webhooks(given.base, base, Path(name, "base")) as old,
            with_webhooks(Path(sys.prefix).parent, ours, Path(name, "ours")) as new,
        ):
            both = {"base": old, "ours": new}
            for size in given.sizes:
                found[f"on {size}"] = asyncio.run(
                    alternating(both, size, given.pairs, counts[size])
                )
                show(f"on {size}", found[f"on {size}"])
    return concluded(found, broken(found), given.json)


def broken(found: dict[str, Any]) -> list[str]:
    """Returns the limit that is broken, if it was measured."""
    rounds: list[Round] = found.get("off small", [])
    ratios = [one["ours"][API_SERVER] / one["kthena"][API_SERVER] for one in rounds]
    if not ratios or statistics.median(ratios) <= MOST_OF_KTHENA:
        return []
    words = "times what it does with kthena's definition"
    return [f"a creation costs {spread(ratios)} {words}, {MOST_OF_KTHENA} at most"]


if __name__ == "__main__":
    sys.exit(main())
