"""What the processes do not import, because each start and each replica would pay for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

LOADED = """
import json, sys
from modelbooster.cli import entry, serve
serve.read_settings()
serve.load(serve.Part[sys.argv[1]])
print(json.dumps([*sys.modules]))
"""

OPENAPI = """
import json
import webhook.router
from fastapi.openapi import models
from pydantic import BaseModel
types = {name: each for name, each in vars(models).items() if hasattr(each, "model_fields")}
print(json.dumps([name for name, each in types.items() if each.__pydantic_complete__]))
nested = models.Schema(properties={"inner": models.Schema(type="string")})
print(nested.model_dump_json(exclude_unset=True))
whole = models.OpenAPI(openapi="3.1.0", info=models.Info(title="t", version="1"))
print(whole.model_dump_json(exclude_unset=True))
class Later(BaseModel):
    number: int
print(json.dumps(Later.__pydantic_complete__ and Later.model_rebuild(force=True)))
"""

IN_NO_PROCESS = {
    "aiohttp",  # only with an HTTP proxy
    "click",  # only with options
    "kubernetes_asyncio",  # only with a kubeconfig
    "uvicorn",
    "yaml",
    "app.catalog.files",
}
ONLY_OF_THE_WEBHOOK = {
    "anyio",
    "certs.pki",
    "cryptography",
    "fastapi",
    "importlib.metadata",  # imported by pydantic for EmailStr, which FastAPI imports
    "opentelemetry",
    "starlette",
}


def printed(script: str, *arguments: str) -> list[Any]:
    """Returns the lines that a script prints, each a JSON document."""
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("part", "at_most"), [("WEBHOOK", 705), ("CONTROLLER", 580)])
def test_a_process_imports_what_it_needs(part: str, at_most: int) -> None:
    (modules,) = printed(LOADED, part)
    unwanted = IN_NO_PROCESS | (ONLY_OF_THE_WEBHOOK if part == "CONTROLLER" else set())
    assert unwanted.isdisjoint(modules)
    assert len(modules) <= at_most


def test_types_of_openapi_are_built_when_they_are_used() -> None:
    built, nested, whole, is_rebuilt = printed(OPENAPI)
    assert built == ["OAuthFlows"]  # FastAPI creates one
    assert nested == {"properties": {"inner": {"type": "string"}}}
    assert whole == {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}}
    assert is_rebuilt, "the types of others are built as usual"
