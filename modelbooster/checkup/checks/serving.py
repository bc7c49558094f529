"""Checks of what the stored ModelBoosters need: a gang scheduler, images, accelerators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from app.convert.options import DOWNLOADER_IMAGE, RUNTIME_IMAGE, is_own_downloader
from app.model.canonical import GANG_SCHEDULER
from app.validation.rules.running.images import moving_tag
from app.values.meta import Key, Object, key_of
from app.values.untyped import as_dict, as_list
from modelbooster.checkup.facts import Facts
from modelbooster.checkup.finding import Finding, failed, ok, skipped, warning, without_right
from modelbooster.checkup.installation import available, installation_in
from modelbooster.checkup.text import count, listed

VOLCANO_GROUP = "scheduling.volcano.sh"


def volcano(facts: Facts) -> Finding:
    """Volcano runs, if a ModelBooster asks for gang scheduling."""
    if facts.boosters.lacks:
        return without_right(facts.boosters.lacks)
    users = [
        str(key)
        for key, backend in _backends(facts)
        if backend.get("gangScheduling") or backend.get("schedulerName") == GANG_SCHEDULER
    ]
    served = VOLCANO_GROUP in facts.groups
    if not users:
        return ok(
            "Volcano is installed" if served else "no ModelBooster needs Volcano; not installed"
        )
    install = (
        "helm repo add volcano-sh https://volcano-sh.github.io/helm-charts",
        "helm install volcano volcano-sh/volcano -n volcano-system --create-namespace",
    )
    if not served:
        return failed(f"Volcano is not installed, but {listed(users)} needs it", *install)
    if facts.schedulers.lacks:
        return without_right(facts.schedulers.lacks)
    running = [obj for obj in facts.schedulers.items if available(obj)[0]]
    if not running:
        key = next(map(key_of, facts.schedulers.items), Key("volcano-system", ""))
        return failed(
            f"Volcano's scheduler does not run, but {listed(users)} needs it",
            f"kubectl -n {key.namespace} describe deployment {key.name}".rstrip(),
        )
    return ok(f"Volcano runs, for {listed(users)}")


def downloader_image(facts: Facts) -> Finding:
    """The images of downloader and sidecar have fixed tags."""
    if facts.deployments.lacks:
        return without_right(facts.deployments.lacks)
    installation = installation_in(facts.deployments.items)
    controller = installation.controller
    if controller is None:
        return skipped("the controller is not installed, or not visible to you")
    images = {
        "downloaderImage": controller.settings.get("DOWNLOADER_IMAGE", DOWNLOADER_IMAGE),
        "runtimeImage": controller.settings.get("RUNTIME_IMAGE", ""),
    }
    moving = {name: image for name, image in images.items() if moving_tag(image) is not None}
    if moving:
        return warning(
            f"the tag of {listed(moving.values())} moves: pods that start later may run another "
            "program",
            installation.change(*(f"kthena.{name}={_fixed(moving[name])}" for name in moving)),
            note="a change restarts the pods of every model",
        )
    return ok(listed(images.values()))


def engine_images(facts: Facts) -> Finding:
    """The images of engines have fixed tags."""
    if facts.boosters.lacks:
        return without_right(facts.boosters.lacks)
    found = [
        (key, path, str(worker.get("image", "")))
        for key, path, worker in _workers(facts)
        if moving_tag(str(worker.get("image", ""))) is not None
    ]
    if not found:
        return ok("the tags of all engine images stay the same")
    key, path, image = found[0]
    texts = listed(f"{image} of {key}" for key, _, image in found)
    fixed = f'[{{"op":"replace","path":"{path}/image","value":"IMAGE:RELEASE"}}]'
    return warning(
        f"the tag moves: {texts}; pods that start later may run another engine",
        f"kubectl -n {key.namespace} patch modelbooster {key.name} --type=json -p '{fixed}'",
        note=f"with the release of {image} that you have tested; the pods restart",
    )


def accelerators(facts: Facts) -> Finding:
    """The nodes offer the devices that ModelBoosters ask for."""
    if facts.nodes.lacks:
        return without_right(facts.nodes.lacks)
    offered: Counter[str] = Counter()
    largest: Counter[str] = Counter()
    for node in facts.nodes.items:
        for name, amount in as_dict(as_dict(node.get("status")).get("allocatable")).items():
            if is_device(name) and (number := _whole(amount)):
                offered[name] += number
                largest[name] = max(largest[name], number)
    have = listed(f"{number} {name}" for name, number in offered.items()) or "no accelerators"
    where = f"{count(len(facts.nodes.items), 'node')} with {have}"
    for key, _, worker in _workers(facts):
        for name, number in _devices(worker).items():
            if number > largest[name]:
                offer = f"at most {largest[name]}" if largest[name] else "none"
                return warning(
                    f"{key} asks for {number} {name} per pod; a node offers {offer}",
                    "kubectl get nodes -o custom-columns="
                    f"'NAME:.metadata.name,DEVICES:.status.allocatable.{_escaped(name)}'",
                    note="add such nodes and their device plugin, or edit the ModelBooster",
                )
    if facts.boosters.lacks:
        return ok(f"{where} (ModelBoosters are not visible to you)")
    return ok(where)


def is_device(resource: str) -> bool:
    """Whether a resource of a node is an extended resource, such as ``nvidia.com/gpu``."""
    domain, slash, _ = resource.partition("/")
    return bool(slash) and not domain.endswith("kubernetes.io")


def _devices(worker: Object) -> dict[str, int]:
    resources = as_dict(worker.get("resources"))
    asked = {**as_dict(resources.get("requests")), **as_dict(resources.get("limits"))}
    return {name: _whole(amount) for name, amount in asked.items() if is_device(name)}


def _whole(amount: object) -> int:
    """Returns a number of devices, which is always whole; 0 for another text."""
    text = str(amount)
    return int(text) if text.isdecimal() else 0


def _escaped(name: str) -> str:
    return name.replace(".", r"\.")


def _fixed(image: str) -> str:
    """Returns the image with the tag of our default; another downloader is kthena's."""
    default = DOWNLOADER_IMAGE if is_own_downloader(image) else RUNTIME_IMAGE
    tag = default.rpartition(":")[2]
    name = image.rpartition(":")[0] if ":" in image.rpartition("/")[2] else image
    return f"{name}:{tag}"


def _backends(facts: Facts) -> Iterator[tuple[Key, Object]]:
    for key, _, backend in _placed(facts):
        yield key, backend


def _placed(facts: Facts) -> Iterator[tuple[Key, str, Object]]:
    """Yields each backend with its ModelBooster and its path."""
    for obj in facts.boosters.items:
        spec = as_dict(obj.get("spec"))
        if isinstance(spec.get("backend"), dict):
            yield key_of(obj), "/spec/backend", spec["backend"]
        for position, backend in enumerate(as_list(spec.get("backends"))):
            yield key_of(obj), f"/spec/backends/{position}", as_dict(backend)


def _workers(facts: Facts) -> Iterator[tuple[Key, str, Object]]:
    for key, path, backend in _placed(facts):
        for position, worker in enumerate(as_list(backend.get("workers"))):
            yield key, f"{path}/workers/{position}", as_dict(worker)
