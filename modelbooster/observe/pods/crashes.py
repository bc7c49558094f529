"""The last words of an engine that ended, and what they mean."""

from __future__ import annotations

import re

from modelbooster.observe.explanation import Explanation

_MAX_WORDS = 300
"""Longest quotation of a log, in characters."""

_PREFIX = re.compile(
    r"^(?:\([\w.]+(?: pid=\d+)?\) ?)*(?:(?:ERROR|CRITICAL|INFO|WARNING)\s+[\d:. -]+\s*)?"
    r"(?:\[[\w./-]+:\d+\]\s*)?"
)
"""What vLLM and its processes put before a line: process, level, time, file."""

_ERROR = re.compile(
    r"^(?:[\w.]*(?:Error|Exception|Interrupt)\b.*|.*: error: .*|.*error: unrecognized .*)$"
)
_VAGUE = re.compile(r"Engine core initialization failed|See root cause above|EngineDeadError")
_NOISE = re.compile(r"^\s|^Traceback|^\[rank\d+\]:|^$|^File |resource_tracker|^warnings?\.warn")

_HINTS: tuple[tuple[str, str], ...] = (
    (
        r"CUDA out of memory|OutOfMemoryError|HIP out of memory",
        "the GPU has too little memory: lower gpu-memory-utilization or max-model-len in config, "
        "or use more GPUs (tensor-parallel-size)",
    ),
    (
        r"KV cache is needed|No available memory for the cache blocks|larger than the maximum "
        r"number of tokens",
        "the KV cache does not fit: lower max-model-len, or raise gpu-memory-utilization in config",
    ),
    (
        r"unrecognized arguments|error: argument|invalid choice",
        "correct config; model-booster engine IMAGE lists the flags of this engine",
    ),
    (
        r"trust_remote_code|trust-remote-code",
        'set trust-remote-code: "" in config if you trust the code in the repository',
    ),
    (
        r"No CUDA GPUs are available|no NVIDIA driver|Failed to infer device type|"
        r"libcuda\.so",
        "the container sees no GPU: ask for nvidia.com/gpu in the resources of the worker",
    ),
    (
        r"are not supported for now|does not recognize this architecture|model type .* but "
        r"Transformers",
        "use a newer image: this engine does not know the model",
    ),
    (
        r"NCCL|ncclSystemError",
        "the GPUs cannot talk to each other: check shared memory, network and NCCL settings",
    ),
    (
        r"No such file or directory|is not a valid model identifier|Invalid repository ID|"
        r"config\.json",
        "the folder has no model: check modelURI and the log of the downloader",
    ),
)


def last_words(log: str) -> str:
    """Returns the line that says why a program ended; ``""`` if the log has none.

    That is the last error with a cause, else the last line.
    """
    lines = [_PREFIX.sub("", line).rstrip() for line in re.split(r"[\r\n]+", log)]
    lines = [line for line in lines if line]
    errors = [line for line in lines if _ERROR.match(line.strip())]
    telling = [line for line in errors if not _VAGUE.search(line)] or errors
    if not telling:
        telling = [line for line in lines if not _NOISE.search(line)]
    words = telling[-1].strip() if telling else ""
    return words if len(words) <= _MAX_WORDS else words[: _MAX_WORDS - 3] + "..."


def explain_crash(log: str) -> Explanation | None:
    """Returns the last words of an engine and what to do; None if the log has none."""
    words = last_words(log)
    if not words:
        return None
    for pattern, todo in _HINTS:
        if re.search(pattern, words) or re.search(pattern, log[-4000:]):
            return Explanation(f"its last words: {words}", todo)
    return Explanation(f"its last words: {words}")
