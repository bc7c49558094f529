"""FastAPI's router.

FastAPI describes OpenAPI by thirty pydantic types, and pydantic builds their validators when they
are imported: a tenth of the start, and 1 MB. The webhook publishes no OpenAPI, so these types are
told to build their validators when they are first used. ``model_config`` of ``BaseModel`` is what
each class that is created meanwhile inherits; those that exist already do not change.
"""

from __future__ import annotations

from pydantic import BaseModel

BaseModel.model_config["defer_build"] = True
try:
    from fastapi import APIRouter
finally:
    del BaseModel.model_config["defer_build"]

__all__ = ["APIRouter"]
