"""Warnings about models that do not generate text, which kthena's router cannot route."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.model.forms import BackendForm, WorkerForm
from app.validation.inputs import RuleInputs
from app.validation.rules.running.given import switch_of, value_of
from app.values.fields import Path

_TEXTS = {
    "runner": frozenset({"pooling"}),
    "task": frozenset({"classify", "embed", "embedding", "reward", "score", "transcription"}),
    "convert": frozenset({"classify", "embed", "reward"}),
}
"""The values of vLLM's flags with which an engine does not generate text."""

_GENERATES = {"runner": frozenset({"generate", "draft"}), "task": frozenset({"generate", "draft"})}

_POOLERS = ("pooler-config", "override-pooler-config")

_KEYS = frozenset(
    key.replace("?", separator, 1).replace("?", last)
    for flag in (*_TEXTS, *_POOLERS, "is-embedding")
    for key in (flag.replace("-", "?"),)
    for separator in "-_"
    for last in "-_"
)
"""The keys of the flags that say what a model does, with dashes or underscores."""

_FAMILIES = re.compile(
    r"(?:^|[^a-z0-9])(?:all-minilm|bge|colbert|e5|embed|embeddings?|gte|rerank|reranker|"
    r"sentence-transformers|whisper)(?![a-z0-9])",
    re.ASCII,
)
"""Parts of the names of models that embed, rank or transcribe."""


def tasks_are_routed(inputs: RuleInputs) -> Iterator[str]:
    """Kthena's router only knows bodies with a text prompt or messages."""
    for form in inputs.served_backends:
        at = _of_config(form) or _of_name(form)
        if at is not None:
            yield (
                f"{at}: kthena's router answers 404 to /v1/embeddings and to every other request "
                "without a text prompt or messages, so clients cannot reach this model through it; "
                "give its pods a Service of your own"
            )


def _of_config(form: BackendForm) -> Path | None:
    for worker in form.workers:
        if _KEYS.isdisjoint(worker.config):
            continue
        if worker.engine == "sglang":
            found = switch_of(worker, "is-embedding")
            if found is not None and found[1]:
                return found[0].path
            continue
        for name, texts in _TEXTS.items():
            given = value_of(worker, name)
            if given is not None and given.text in texts:
                return given.path
        pooler = value_of(worker, *_POOLERS)
        if pooler is not None and not _is_said_to_generate(worker):
            return pooler.path
    return None


def _of_name(form: BackendForm) -> Path | None:
    name = form.model_uri.partition("://")[2].lower()
    if not _FAMILIES.search(name) or any(map(_is_said_to_generate, form.workers)):
        return None
    return form.path.child("modelURI")


def _is_said_to_generate(worker: WorkerForm) -> bool:
    found = {name: value_of(worker, name) for name in _GENERATES}
    return any(value and value.text in _GENERATES[name] for name, value in found.items())
