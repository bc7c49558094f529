"""What the processes do not import, because each start and each replica would pay for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LOADED = """
import json, sys
from modelbooster.process import Part, load
from modelbooster.settings import read_settings
read_settings()
load(Part[sys.argv[1]])
complete = None
if "fastapi" in sys.modules:
    from fastapi.openapi.models import Info, OpenAPI
    complete = OpenAPI.__pydantic_complete__
    OpenAPI(openapi="3.1.0", info=Info(title="t", version="1"))
print(json.dumps([[*sys.modules], complete]))
"""

IN_NO_PROCESS = {
    "aiohttp",  # only with an HTTP proxy
    "kubernetes_asyncio",  # only with a kubeconfig
    "uvicorn",
    "yaml",
    "app.catalog.files",
}
ONLY_OF_THE_WEBHOOK = {"fastapi", "cryptography", "opentelemetry", "certs.pki"}


def loaded(part: str) -> tuple[set[str], bool | None]:
    """Returns the modules of a process, and whether FastAPI built its types of OpenAPI."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, part], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules, complete = json.loads(done.stdout)
    return set(modules), complete


@pytest.mark.parametrize(("part", "at_most"), [("WEBHOOK", 720), ("CONTROLLER", 640)])
def test_a_process_imports_what_it_needs(part: str, at_most: int) -> None:
    modules, is_openapi_built = loaded(part)
    unwanted = IN_NO_PROCESS | (ONLY_OF_THE_WEBHOOK if part == "CONTROLLER" else set())
    assert not modules & unwanted
    assert len(modules) <= at_most
    assert is_openapi_built is (None if part == "CONTROLLER" else False)
