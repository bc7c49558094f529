"""The engine that the pods of a worker run."""

from __future__ import annotations

from functools import lru_cache

from app.engines.engine import Engine, engine_of
from app.engines.release import release
from app.model.forms import WorkerForm, cached_fact


@cached_fact
def engine(worker: WorkerForm) -> Engine:
    """Returns what is known of the engine of a worker.

    Its image tells the release, unless the annotation ``engine-release`` states it.
    """
    return engine_of(worker.engine, worker.image, worker.stated_release)


V0_GONE = release("0.11.0")
"""The first vLLM release without the V0 engine. VLLM_USE_V1 chooses between the two before it."""

RAY_GONE = release("0.18.0")
"""The first vLLM release whose official images have no Ray."""


@lru_cache(maxsize=256)
def has_v0(of: Engine) -> bool:
    """Returns whether VLLM_USE_V1 means something to an engine."""
    return of.name == "vllm" and of.release is not None and of.release < V0_GONE
