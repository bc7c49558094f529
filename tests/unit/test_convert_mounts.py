"""Which containers may write to the cache."""

from __future__ import annotations

from typing import Any

import pytest

from app.apis.kinds import Profile
from app.convert import desired_children
from app.convert.options import Options
from app.values.meta import Object
from tests.builders import backend, disaggregated, model, worker

CACHE = "hostpath:///var/cache/models"


def may_write(own: Object) -> dict[str, bool]:
    """Returns by name whether the containers of a backend can write to its cache."""
    serving = desired_children(model("demo", own), Profile.B, Options())[0].object
    found: dict[str, bool] = {}
    for role in serving["spec"]["template"]["roles"]:
        for template in ("entryTemplate", "workerTemplate"):
            pod = role.get(template, {}).get("spec", {})
            for container in pod.get("initContainers", []) + pod.get("containers", []):
                (weights,) = [m for m in container["volumeMounts"] if m["name"] == "weights"]
                found[container["name"]] = not weights.get("readOnly", False)
    return found


@pytest.mark.parametrize("cache", [None, CACHE, "pvc://models"])
def test_engines_mount_the_cache_read_only(cache: str | None) -> None:
    own = backend(cacheURI=cache, workers=[worker(pods=2)])
    owner = {"cache-owner": True} if cache == CACHE else {}
    assert may_write(own) == {
        **owner,
        "model-downloader": True,
        "runtime": True,  # it downloads adapters that are loaded later
        "engine": False,
        "worker": False,
    }
    pair = may_write(disaggregated(cacheURI=cache))
    assert pair == {**owner, "model-downloader": True, "runtime": True, "vllm": False}


@pytest.mark.parametrize(
    ("own", "writes"),
    [
        pytest.param({"env": [{"name": "HF_HOME", "value": "/root/hf"}]}, False, id="its home"),
        pytest.param(
            {"env": [{"name": "VLLM_CACHE_ROOT", "value": "/var/cache/models/vllm"}]},
            True,
            id="kernels below the cache",
        ),
        pytest.param(
            {"env": [{"name": "LMCACHE_LOCAL_DISK", "value": "file:///var/cache/models/kv"}]},
            True,
            id="a URL of the cache",
        ),
        pytest.param(
            {"workers": [worker(config={"download-dir": "/var/cache/models"})]},
            True,
            id="an argument",
        ),
        pytest.param(
            {"workers": [worker(config={"max-model-len": 4096})]}, False, id="another argument"
        ),
    ],
)
def test_cache_is_writable_if_the_user_names_it(own: dict[str, Any], writes: bool) -> None:
    assert may_write(backend(cacheURI=CACHE, **own))["engine"] is writes


def test_model_in_place_is_read_only() -> None:
    env = [{"name": "HF_HOME", "value": "/models/hf"}]
    own = backend(modelURI="pvc://models/qwen", cacheURI="pvc://models", env=env)
    assert may_write(own)["engine"] is False
