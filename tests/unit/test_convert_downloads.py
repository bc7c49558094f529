"""The init containers that fetch models: which image they run, and with which rights."""

from __future__ import annotations

import pytest

from app.apis.kinds import Profile
from app.convert import desired_children
from app.convert.options import DOWNLOADER_IMAGE, Options, is_own_downloader
from app.convert.pods.downloads import CACHE_OWNER
from app.values.meta import Object
from downloader import VERSION
from tests.builders import backend, lora, model, worker

KTHENAS = "ghcr.io/volcano-sh/downloader:v0.4.0"
CLAIM, FOLDER = "pvc://models", "hostpath:///mnt/models"


def pods(own: Object, options: Options) -> list[Object]:
    """Returns the pods of a backend: the first one and, if there is one, a follower."""
    serving = desired_children(model("demo", own), Profile.B, options)[0].object
    (role,) = serving["spec"]["template"]["roles"]
    templates = [role[name] for name in ("entryTemplate", "workerTemplate") if name in role]
    return [template["spec"] for template in templates]


def rights(cache: str | None, user: int | None = None) -> tuple[Object, Object]:
    """Returns the rights of the downloaders, and those of their pods; all are the same."""
    own = backend(cacheURI=cache, loraAdapters=[lora("sql")], workers=[worker(pods=2)])
    entry, follower = pods(own, Options(downloader_user=user))
    containers = [*entry["initContainers"], *follower["initContainers"]]
    downloaders = [each for each in containers if each["name"] != CACHE_OWNER]
    first, *others = [container["securityContext"] for container in downloaders]
    assert others == [first] * 3
    assert entry.get("securityContext") == follower.get("securityContext")
    return first, entry.get("securityContext", {})


@pytest.mark.parametrize(
    ("image", "is_own"),
    [
        (DOWNLOADER_IMAGE, True),
        ("registry.example.com:5000/team/model-booster-downloader", True),
        ("registry.example.com/model-booster-downloader:v1@sha256:abc", True),
        (KTHENAS, False),
        ("model-booster-downloader/downloader:v0.4.0", False),
        ("registry.example.com/my-model-booster-downloader:1", False),
    ],
)
def test_our_image_is_known_by_its_name(image: str, is_own: bool) -> None:
    assert is_own_downloader(image) is is_own
    assert Options(downloader_image=image).has_own_downloader is is_own


def test_the_default_is_the_version_of_the_downloader() -> None:
    assert DOWNLOADER_IMAGE.partition(":")[2] == VERSION


def test_our_downloader_writes_lines_for_programs_and_tells_its_last_words() -> None:
    own = backend()
    for options, end in (
        (Options(), ["--progress", "json"]),
        (Options(downloader_args=("--progress", "text")), ["json", "--progress", "text"]),
    ):
        (pod,) = pods(own, options)
        (container,) = pod["initContainers"]
        assert container["args"][-len(end) :] == end
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


@pytest.mark.parametrize("cache", [None, CLAIM, FOLDER])
@pytest.mark.parametrize("user", [None, 0, 1000])
def test_our_downloader_has_few_rights_everywhere(cache: str | None, user: int | None) -> None:
    context, _ = rights(cache, user)
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context["capabilities"]["drop"] == ["ALL"]
    is_root = context.get("runAsUser") == 0
    assert context.get("runAsNonRoot", False) is not is_root
    assert context["capabilities"].get("add", []) == (["DAC_OVERRIDE"] if is_root else [])


@pytest.mark.parametrize(
    ("cache", "user", "runs_as", "group"),
    [
        (None, None, None, None),  # the user of the image: an emptyDir is writable for everybody
        (CLAIM, None, 65532, 65532),
        (FOLDER, None, 65532, None),  # the kubelet changes no folder of a node
        (None, 1000, 1000, None),
        (CLAIM, 1000, 1000, 1000),
        (FOLDER, 1000, 1000, None),
        (None, 0, 0, None),
        (CLAIM, 0, 0, None),
        (FOLDER, 0, 0, None),
    ],
)
def test_who_writes_to_the_cache(
    cache: str | None, user: int | None, runs_as: int | None, group: int | None
) -> None:
    context, pod = rights(cache, user)
    assert (context.get("runAsUser"), context.get("runAsGroup")) == (runs_as, runs_as)
    changed = {"fsGroup": group, "fsGroupChangePolicy": "OnRootMismatch"}
    assert pod == (changed if group else {})


def test_a_container_of_root_hands_folders_of_nodes_over_and_does_nothing_else() -> None:
    secret = {"secretRef": {"name": "token"}}
    adapters = [lora("sql"), lora("same", artifactURL=lora("sql")["artifactURL"])]
    own = backend(
        cacheURI=FOLDER,
        loraAdapters=adapters,
        env=[{"name": "HF_TOKEN", "value": "hf_secret"}],
        envFrom=[secret],
        workers=[worker(pods=2)],
    )
    for pod in pods(own, Options(image_pull_policy="Always")):
        owner, model_, *_ = pod["initContainers"]
        folders = {each["args"][3] for each in pod["initContainers"][1:]}
        assert owner["name"] == CACHE_OWNER
        assert owner["args"][:3] == ["prepare", "--user", "65532"]
        assert sorted(owner["args"][3:]) == sorted(folders)  # each once
        assert (owner["image"], owner["imagePullPolicy"]) == (model_["image"], "Always")
        assert not {"env", "envFrom"} & owner.keys()
        context = owner["securityContext"]
        assert (context["runAsUser"], context["runAsGroup"]) == (0, 0)
        assert context["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN", "DAC_OVERRIDE"]}
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False


@pytest.mark.parametrize(
    ("cache", "options"),
    [
        (None, Options()),
        (CLAIM, Options()),
        (FOLDER, Options(downloader_user=1000)),
        (FOLDER, Options(downloader_user=0)),
        (FOLDER, Options(downloader_image=KTHENAS)),
    ],
)
def test_no_other_pod_has_such_a_container(cache: str | None, options: Options) -> None:
    (pod,) = pods(backend(cacheURI=cache), options)
    assert CACHE_OWNER not in {each["name"] for each in pod["initContainers"]}


@pytest.mark.parametrize("cache", [None, CLAIM, FOLDER])
def test_another_image_runs_as_before(cache: str | None) -> None:
    (pod,) = pods(backend(cacheURI=cache), Options(downloader_image=KTHENAS, downloader_user=1000))
    (container,) = pod["initContainers"]
    assert container["args"][-2] == "--output-dir"
    assert {"name", "image", "args", "resources", "volumeMounts"} == container.keys()
    assert "securityContext" not in pod


def test_a_model_that_is_used_in_place_changes_no_rights() -> None:
    own = backend(cacheURI=CLAIM, modelURI="pvc://models/llama")
    (pod,) = pods(own, Options(downloader_user=1000))
    assert not {"initContainers", "securityContext"} & pod.keys()
