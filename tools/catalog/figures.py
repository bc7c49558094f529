"""Compares what engines logged of their memory with what the catalogue computes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from app.catalog.devices import device
from app.catalog.memory import BATCHED_TOKENS, GIB, SEQUENCES, Layout, memory_of
from app.catalog.templates import find_template

FILE = Path(__file__).parent / "figures.yaml"

TOLERANCE = {"weights": 0.07, "kv": 0.04, "tokens": 0.07, "requests": 0.07}
"""Largest difference as a part: of the logged value; for ``kv``, of the memory of the device."""


@dataclass(frozen=True)
class Figure:
    """One logged number and the computed one.

    Args:
        model: name of the model in the catalogue.
        engine: engine and release, as far as they are known.
        place: devices and arguments.
        kind: ``weights``, ``kv``, ``tokens`` or ``requests``.
        logged: GiB, tokens or requests.
        computed: the same.
        difference: as a part, see ``TOLERANCE``.
        source: where it was logged.
        note: what else is to know; empty if nothing is.
    """

    model: str
    engine: str
    place: str
    kind: str
    logged: float
    computed: float
    difference: float
    source: str
    note: str


def figures() -> Iterator[Figure]:
    """Yields all figures, in the order of the file."""
    for entry in yaml.safe_load(FILE.read_text()):
        yield from _figures(entry)


def _figures(entry: dict[str, Any]) -> Iterator[Figure]:
    of = device(entry["device"])
    layout = Layout(
        of.memory,
        entry["context"],
        tensor=entry.get("tensor", 1),
        utilization=entry.get("utilization", 0.9),
        static=entry["engine"].startswith("SGLang"),
        kv_element_bytes=1 if entry.get("fp8") else 2,
        batched_tokens=entry.get("batch", BATCHED_TOKENS),
        sequences=entry.get("sequences", SEQUENCES),
    )
    found = memory_of(find_template(entry["model"]).model, layout)
    logged = entry["logged"]
    cache = logged.get("kv", 0) * GIB
    computed = {
        "weights": found.weights / GIB,
        "kv": found.kv_available / GIB,
        "tokens": cache / found.kv_token,
        "requests": cache / found.kv_request,
    }
    place = f"{layout.tensor} x {of.title}, {layout.context:,} tokens"
    place += ", FP8 KV cache" if entry.get("fp8") else ""
    for kind in entry.get("only", logged):
        against = of.memory / GIB if kind == "kv" else logged[kind]
        yield Figure(
            model=entry["model"],
            engine=entry["engine"],
            place=place,
            kind=kind,
            logged=logged[kind],
            computed=computed[kind],
            difference=(computed[kind] - logged[kind]) / against,
            source=entry["source"],
            note=entry.get("note", ""),
        )
