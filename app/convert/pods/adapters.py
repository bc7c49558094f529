"""LoRA adapters on the command line of an engine: what vLLM and SGLang have in common."""

from __future__ import annotations

from app.model.arguments import arguments
from app.model.forms import BackendForm, WorkerForm
from app.values.fields import SpecError, forbidden

ADAPTER_FLAGS = {"vllm": "lora-modules", "sglang": "lora-paths"}
"""The flag that names adapters, by engine."""


def check_adapters(backend: BackendForm, worker: WorkerForm) -> None:
    """Raises SpecError if both ``loraAdapters`` and ``config`` name adapters."""
    named = arguments(worker).get(ADAPTER_FLAGS[worker.engine])
    if named and backend.lora_adapters:
        detail = "loraAdapters is set as well, and one of the two would win silently"
        raise SpecError(forbidden(named.path, detail))


def adapter_switch(backend: BackendForm, worker: WorkerForm) -> list[str]:
    """Returns the flag that lets an engine load adapters, unless ``config`` has it."""
    is_needed = backend.lora_adapters and "enable-lora" not in arguments(worker)
    return ["--enable-lora"] if is_needed else []
