"""Flags that went, and what does the same now; and what came with which release.

The tables hold a few releases only. The exact releases here were found by looking into the wheels
in between.
"""

from __future__ import annotations

from typing import NamedTuple

from app.engines.release import Release, release


class Gone(NamedTuple):
    """A flag that a release dropped.

    Args:
        since: the first release without it.
        instead: what to write now; empty if nothing does the same.
        back: the first release that has it again, if one has.
    """

    since: Release
    instead: str
    back: Release | None

    def in_release(self, one: Release) -> bool:
        """Whether a release is without the flag."""
        return one >= self.since and (self.back is None or one < self.back)


def _gone(since: str, instead: str = "", back: str | None = None) -> Gone:
    return Gone(release(since), instead, release(back) if back else None)


GONE: dict[str, dict[str, Gone]] = {
    "vllm": {
        "device": _gone("0.10.0"),
        "enable-reasoning": _gone("0.10.0", "reasoning-parser alone"),
        "expand-tools-even-if-tool-choice-none": _gone("0.10.0"),
        "long-lora-scaling-factors": _gone("0.10.0"),
        "max-prompt-adapters": _gone("0.10.0", "LoRA adapters"),
        "max-prompt-adapter-token": _gone("0.10.0", "LoRA adapters"),
        "prompt-adapters": _gone("0.10.0", "LoRA adapters"),
        "enable-prompt-adapter": _gone("0.10.2", "LoRA adapters"),
        "qlora-adapter-name-or-path": _gone("0.10.0", "LoRA adapters"),
        "use-v2-block-manager": _gone("0.10.0"),
        "num-scheduler-steps": _gone("0.10.1.1"),
        "multi-step-stream-outputs": _gone("0.10.1.1"),
        "max-seq-len-to-capture": _gone("0.11.0", "max-cudagraph-capture-size"),
        "preemption-mode": _gone("0.11.0"),
        "scheduler-delay-factor": _gone("0.11.0"),
        "rope-scaling": _gone("0.11.1", "hf-overrides"),
        "rope-theta": _gone("0.11.1", "hf-overrides"),
        "guided-decoding-backend": _gone("0.12.0", "structured-outputs-config.backend"),
        "lora-extra-vocab-size": _gone("0.12.0"),
        "num-lookahead-slots": _gone("0.12.0"),
        "override-pooler-config": _gone("0.12.0", "pooler-config"),
        "eplb-step-interval": _gone("0.12.0", "eplb-config.step_interval"),
        "eplb-window-size": _gone("0.12.0", "eplb-config.window_size"),
        "num-redundant-experts": _gone("0.12.0", "eplb-config.num_redundant_experts"),
        "task": _gone("0.13.0", "runner and convert"),
        "cuda-graph-sizes": _gone("0.13.0", "cudagraph-capture-sizes"),
        "disable-log-requests": _gone("0.17.0", "enable-log-requests: false", back="0.33.0"),
        "swap-space": _gone("0.18.0"),
        "disable-frontend-multiprocessing": _gone("0.19.1"),
        "max-num-partial-prefills": _gone("0.27.0"),
        "max-long-partial-prefills": _gone("0.27.0"),
        "calculate-kv-scales": _gone("0.28.0"),
    }
}
"""By engine and flag. Flags of the newest table are not listed here."""

CAME: dict[str, dict[str, Release]] = {
    "vllm": {
        name: release(since)
        for since, names in {
            "0.9.0": ("kv-events-config", "data-parallel-size-local"),
            "0.10.0": ("api-server-count", "headless"),
            "0.10.1.1": ("runner", "convert", "enable-log-requests"),
            "0.11.0": ("structured-outputs-config",),
            "0.11.1": ("nnodes", "node-rank", "master-addr", "cudagraph-capture-sizes"),
            "0.12.0": ("optimization-level",),
        }.items()
        for name in names
    }
}
"""The first release with a flag, by engine and flag: those that we or the examples use."""

DOTTED_KEYS = {"vllm": release("0.9.1")}
"""Since when ``kv-transfer-config.kv_role`` is read as part of an object.

vLLM 0.9.0 knows such keys as well, but makes dashes of the underscores behind the dot.
"""

HYBRID_EVENTS = release("0.21.0")
"""The first vLLM release whose hybrid KV cache manager works with ``kv-events-config``.

Before it, that flag turns the manager off: layers with a sliding window keep every token, and
models with layers that have a state do not start
(https://github.com/vllm-project/vllm/issues/49537).
"""
