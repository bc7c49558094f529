"""The environment variables of a command as ``env`` of a backend."""

from __future__ import annotations

from app.engines.engine import Engine
from app.engines.release import release
from app.values.meta import Object
from modelbooster.commandline.hardware import VISIBLE
from modelbooster.commandline.program import Launch
from modelbooster.commandline.secrets import SecretKeys, is_secret
from modelbooster.commandline.shell import is_known

_CACHES = frozenset(
    {"HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "HF_DATASETS_CACHE"}
    | {"MODELSCOPE_CACHE", "XDG_CACHE_HOME", "VLLM_CACHE_ROOT", "VLLM_CONFIG_ROOT"}
    | {"TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "FLASHINFER_WORKSPACE_BASE"}
)
_OFFLINE = frozenset({"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"})
_ADDRESSES = frozenset({"VLLM_HOST_IP", "HOST_IP", "HCCL_IF_IP", "MASTER_ADDR", "MASTER_PORT"})
_MACHINE = frozenset(
    {"PATH", "HOME", "USER", "PWD", "SHELL", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
    | {"CUDA_HOME", "CUDA_PATH", "LD_PRELOAD", "CONDA_PREFIX"}
)
_SILENT = frozenset({*VISIBLE, "CUDA_DEVICE_ORDER", "NVIDIA_DRIVER_CAPABILITIES"}) | {
    *("VLLM_USE_MODELSCOPE", "SGLANG_USE_MODELSCOPE", "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES")
}
_V0_GONE = release("0.11.0")
"""The first vLLM release that does not know VLLM_USE_V1."""


def entries(launch: Launch, engine: Engine, secrets: SecretKeys, notes: list[str]) -> list[Object]:
    """Returns the entries of ``env``; what is left out is told in ``notes``.

    Args:
        launch: the engine with its variables.
        engine: what is known of its release.
        secrets: takes the variables that hold secrets.
        notes: takes a line about each variable that a pod does not get.
    """
    found: list[Object] = []
    caches: list[str] = []
    for name, value in launch.variables.items():
        if name in _SILENT or value == "":
            continue
        if name in _CACHES:
            caches.append(name)
        elif name in _OFFLINE:
            if value not in ("0", "false"):
                notes.append(f"{name} is left out: pods download the model before they start")
        elif name == "HF_HUB_ENABLE_HF_TRANSFER":
            notes.append(f"{name} is left out: without its package it ends the download of pods")
        elif name in _ADDRESSES or (name in _MACHINE and not launch.container):
            notes.append(f"{name} is left out: it is about the machine of the command")
        elif name == "VLLM_USE_V1" and engine.release and engine.release >= _V0_GONE:
            notes.append(f"{name} is left out: vLLM {engine.release} does not know it")
        elif is_secret(name, value):
            found.append(secrets.variable(name))
        elif value is None or not is_known(value):
            detail = "its value is not in the command; add it to env of the backend"
            notes.append(f"{name} is left out: {detail}")
        else:
            found.append({"name": name, "value": value})
    if caches:
        detail = "cacheURI says where downloads are kept (--cache)"
        notes.append(f"{', '.join(caches)} left out: {detail}")
    return found
