"""Plain manifests, made from the chart for those who do not use Helm.

``python -m tests.manifests`` writes them into ``deploy/``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from app.values.meta import Object
from tests.chart import CHART, helm

FOLDER = CHART.parents[1] / "deploy"
NAME, NAMESPACE = "model-booster", "model-booster-system"
HEAD = '# Generated from charts/model-booster by "make generate"; do not edit.\n'
HELM_LABELS = ("helm.sh/chart", "app.kubernetes.io/managed-by")
KUSTOMIZATION = f"""\
{HEAD}\
# kubectl apply --server-side -k deploy
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [namespace.yaml, crd.yaml, operator.yaml]
# In an overlay of yours, name your registry:
# images: [{{name: model-booster, newName: registry.example.com/model-booster, newTag: 0.1.0}}]
"""


def files() -> Iterator[tuple[str, str]]:
    """Yields name and content of every file."""
    said = helm("template", NAME, str(CHART), "--namespace", NAMESPACE, "--no-hooks")
    if said.returncode:
        raise RuntimeError(said.stderr)
    objects = [o for o in yaml.load_all(said.stdout, Loader=yaml.CSafeLoader) if o]
    for obj in objects:
        _forget_helm(obj)
    crds = [o for o in objects if o["kind"] == "CustomResourceDefinition"]
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": NAMESPACE, "labels": labels}
    yield "kustomization.yaml", KUSTOMIZATION
    yield "namespace.yaml", _text([{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}])
    yield "crd.yaml", _text(crds)
    yield "operator.yaml", _text([o for o in objects if o not in crds])


def _forget_helm(obj: Object) -> None:
    """Removes what says that Helm manages the object."""
    _clean(obj["metadata"])
    for container in obj.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ()):
        for variable in container["env"]:
            if variable["name"] == "MODELBOOSTER_STATE_METADATA":
                metadata = json.loads(variable["value"])
                _clean(metadata)
                variable["value"] = json.dumps(metadata)


def _clean(metadata: Object) -> None:
    for name in HELM_LABELS:
        metadata["labels"].pop(name, None)
    annotations = metadata.get("annotations", {})
    for name in [name for name in annotations if "helm.sh/" in name]:
        annotations.pop(name)
    if not annotations:
        metadata.pop("annotations", None)


def _text(objects: list[Object]) -> str:
    dumped = yaml.safe_dump_all(objects, sort_keys=False, width=120, allow_unicode=True)
    return HEAD + str(dumped)


def write(folder: Path = FOLDER) -> None:
    """Writes every file."""
    folder.mkdir(exist_ok=True)
    for name, text in files():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write()
