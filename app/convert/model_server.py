"""Converts backends into ModelServers, which select the pods that get requests."""

from __future__ import annotations

from collections.abc import Iterator

from app.apis.kinds import BACKEND_NAME, ENTRY, GROUP_NAME, MODEL_SERVER, MODEL_UID, ROLE, Profile
from app.convert.core_v1 import compact
from app.convert.options import Options
from app.model.children import Draft
from app.model.connector import connector
from app.model.forms import BackendForm, Model
from app.model.names import backend_child_name, served_model_name
from app.model.ports import engine_port
from app.model.roles import is_disaggregated, roles, served
from app.values.meta import Object

ENGINES = {"vllm": "vLLM", "sglang": "SGLang"}
"""How a ModelServer names the engines."""


def model_servers(model: Model, _profile: Profile, _options: Options) -> Iterator[Draft]:
    """Yields one ModelServer per backend."""
    for backend in served(model):
        kind = connector(backend)
        spec = compact(
            model=served_model_name(model, backend),
            inferenceEngine=ENGINES[roles(backend)[0].worker.engine],
            workloadSelector=_selector(model, backend),
            workloadPort={"port": engine_port(backend)},
            # Without a value the retry interval would be 100 ms.
            trafficPolicy={"retry": {"attempts": 5, "retryInterval": "0s"}},
            kvConnector={"type": kind} if kind else None,
        )
        yield Draft(MODEL_SERVER, backend_child_name(model, backend), spec, backend)


def _selector(model: Model, backend: BackendForm) -> Object:
    """Returns the labels of the pods of a backend that take requests, and of no other pods."""
    entries: Object = {
        "matchLabels": {MODEL_UID: model.uid, BACKEND_NAME: backend.name, ENTRY: "true"}
    }
    if is_disaggregated(backend):
        entries["pdGroup"] = {
            "groupKey": GROUP_NAME,
            "prefillLabels": {ROLE: "prefill"},
            "decodeLabels": {ROLE: "decode"},
        }
    return entries
