"""Installing, upgrading and uninstalling the chart, and the quick starts as they are written."""

from __future__ import annotations

import json
import re

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING
from certs.objects import VALIDATING
from tests.builders import booster_object
from tests.controlplane import crds
from tests.pods.stage import MODELS, ROOT, SYSTEM, Stage, StepFailed, eventually
from tests.pods.steps import model
from tests.upgrade import earlier
from tests.world import Admin

RELEASE = "model-booster"
REGISTRY = "registry.example.com"
"""The registry that the documentation names; our image has its name."""

PREVIOUS_TAG = "previous"
CHART = "charts/model-booster"
CRD_NAME = f"{MODEL_BOOSTER.plural}.{MODEL_BOOSTER.group}"
WAIT = ("--wait", "--timeout", "120s")


def commands(page: str, heading: str) -> str:
    """Returns the first block of shell commands below a heading of a page of the documentation.

    Raises:
        StepFailed: there is none.
    """
    _, found, rest = (ROOT / page).read_text().partition(f"\n## {heading}\n")
    section = re.split(r"^## ", rest, maxsplit=1, flags=re.M)[0]
    block = re.search(r"^```sh\n(.*?)^```", section, re.M | re.S)
    if not found or block is None:
        raise StepFailed(f'{page} has no commands below "{heading}"')
    return block[1]


def install(stage: Stage, major: int, *flags: str, chart: str = CHART) -> None:
    """Installs a chart with helm of a major version, and waits until a controller leads."""
    arguments = ("install", RELEASE, chart, "--namespace", SYSTEM)
    stage.helm(major, *arguments, "--set", f"image.registry={REGISTRY}", *WAIT, *flags)
    stage.until_leader()


def install_kthena(stage: Stage, profile: str) -> None:
    """Installs the definitions of one profile of kthena, and removes those that it has not."""
    definitions = crds.children(profile)
    names = {definition["metadata"]["name"] for definition in definitions}
    for other in ("B", "C"):
        for name in {each["metadata"]["name"] for each in crds.children(other)} - names:
            stage.kubectl("delete", "crd", name, "--ignore-not-found", "--timeout=60s")
    crds.install(stage.api, definitions)


def check_profile(stage: Stage, profile: str) -> None:
    """Checks that the controller that leads has found the definitions of a profile.

    Raises:
        StepFailed: it has not.
    """
    said = stage.kubectl("logs", stage.until_leader(), "-n", SYSTEM)
    if f"kthena of profile {profile} is installed" not in said:
        raise StepFailed(f"the controller does not say that kthena's profile is {profile}:\n{said}")


def previous_chart(stage: Stage) -> None:
    """Helm 3 installs the previous version where kthena v0.4.0 is; a model is served."""
    install_kthena(stage, "B")
    stage.play_serving()
    sources = stage.folder / "previous"
    earlier.unpack(sources)
    flags = ("--set", f"image.tag={PREVIOUS_TAG}")
    install(stage, 3, *flags, chart=str(sources / earlier.CHART))
    model.create(stage)


def upgrade(stage: Stage) -> None:
    """Helm 3 upgrades to this chart and its CustomResourceDefinition; no pod is replaced."""
    pods, before = model.pods(stage), _definition(stage)
    arguments = ("upgrade", RELEASE, CHART, "--namespace", SYSTEM)
    stage.helm(3, *arguments, "--set", f"image.registry={REGISTRY}", *WAIT)
    check_profile(stage, "B")
    if _definition(stage) == before:
        raise StepFailed("the CustomResourceDefinition did not change: record a later chart")
    model.check_acts(stage)
    model.check_unchanged(stage, pods)


def uninstall(stage: Stage) -> None:
    """Helm 3 uninstalls; the definition, the models and their pods stay."""
    pods = model.pods(stage)
    stage.helm(3, "uninstall", RELEASE, "--namespace", SYSTEM, "--wait", "--timeout", "120s")
    _check_gone(stage)
    if stage.models.get(MODEL_BOOSTER, model.NAME) is None or model.pods(stage) != pods:
        raise StepFailed("a model or its pods went with the release")
    # Nobody is asked any more: an edit is not blocked by a webhook that is gone.
    obj = booster_object("after-uninstall", namespace=MODELS)
    stage.models.put(MODEL_BOOSTER, obj)
    stage.models.delete(MODEL_BOOSTER, "after-uninstall")


def quick_start(stage: Stage) -> None:
    """What the README says, word for word, with Helm 4, where kthena is v1.0.0 by now.

    The models that the uninstalled release left are served again.
    """
    install_kthena(stage, "C")
    stage.shell(commands("README.md", "Install"))
    check_profile(stage, "C")
    model.check_acts(stage)
    stage.models.until(MODEL_BOOSTER, model.NAME, model.is_ready, seconds=model.SECONDS)
    stage.shell(commands("README.md", "Your first ModelBooster"))
    _check_served(stage)


def quick_start_of_install(stage: Stage) -> None:
    """What docs/install.md says, word for word, with Helm 4, on a cluster without our CRD.

    Helm 3 does not know a flag of it, which the page says too.
    """
    remove_everything(stage, 4)
    stage.shell(commands("docs/install.md", "Quick start"))
    _check_served(stage)


def remove_everything(stage: Stage, major: int) -> None:
    """Uninstalls, and deletes the definition with all ModelBoosters, which helm keeps."""
    protection = "workload.serving.volcano.sh/deletion-protection-"
    stage.kubectl("annotate", "mb", "--all", "--all-namespaces", protection)
    stage.helm(major, "uninstall", RELEASE, "--namespace", SYSTEM)
    stage.kubectl("delete", "crd", CRD_NAME, "--timeout=60s")
    stage.kubectl("delete", "modelservings,pods", "--all", "-n", MODELS, "--timeout=60s")
    stage.kubectl("delete", "modelservings,pods", "--all", "-n", "default", "--timeout=60s")


def _check_served(stage: Stage) -> None:
    """Checks that the example of the quick start is served in the namespace ``default``."""
    admin = Admin(stage.api, "default")
    name = "qwen"
    admin.until(MODEL_BOOSTER, name, model.is_ready, seconds=model.SECONDS)
    admin.until(MODEL_SERVING, f"{name}-cpu")


def _check_gone(stage: Stage) -> None:
    """Waits until nothing of the release is left but the definition.

    Raises:
        StepFailed: something is.
    """
    kinds = "deployments,services,pods,secrets,configmaps,leases.coordination.k8s.io"
    selector = f"app.kubernetes.io/instance={RELEASE}"

    def left() -> str:
        found = stage.kubectl("get", kinds, "-n", SYSTEM, "-l", selector, "-o", "name")
        hooks = stage.api.request("GET", VALIDATING.path(None))["items"]
        names = [o["metadata"]["name"] for o in hooks if RELEASE in o["metadata"]["name"]]
        return found + "".join(f"webhook configuration {name}\n" for name in names)

    eventually(lambda: not left(), "the release is gone")
    _definition(stage)


def _definition(stage: Stage) -> str:
    """Returns the schema of ModelBooster as it is installed."""
    found = stage.api.request("GET", crds.CRD.path(None, CRD_NAME))
    return json.dumps(found["spec"], sort_keys=True)
