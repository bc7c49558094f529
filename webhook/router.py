"""FastAPI's router.

FastAPI describes OpenAPI by thirty pydantic types, and pydantic builds their validators when they
are imported: a tenth of the start, and 1 MB. The webhook publishes no OpenAPI, so these types build
their validators when they are first used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel

_rebuild = BaseModel.model_rebuild.__func__  # type: ignore[attr-defined]  # that of a classmethod


def _rebuild_when_used(model: type[BaseModel], /, **given: Any) -> bool | None:
    """Does nothing for FastAPI, which asks three types to build at once, without arguments.

    pydantic names arguments when it builds a type that is used for the first time.
    """
    built: bool | None = _rebuild(model, **given) if given else None
    return built


@contextmanager
def _built_when_used() -> Iterator[None]:
    """Makes the types that are created in a block build their validators when they are first used.

    ``model_config`` of ``BaseModel`` is what each class that is created meanwhile inherits; those
    that exist already do not change.
    """
    BaseModel.model_config["defer_build"] = True
    BaseModel.model_rebuild = classmethod(_rebuild_when_used)  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        BaseModel.model_rebuild = classmethod(_rebuild)  # type: ignore[assignment, method-assign]
        del BaseModel.model_config["defer_build"]


with _built_when_used():
    from fastapi import APIRouter

__all__ = ["APIRouter"]
