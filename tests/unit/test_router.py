"""FastAPI is imported without the validators of its OpenAPI types; everything else is unchanged."""

from __future__ import annotations

import pytest
from fastapi.openapi.models import Info, OpenAPI, Tag
from pydantic import BaseModel, ValidationError

from webhook.router import APIRouter


def test_types_of_openapi_are_complete_when_they_are_used() -> None:
    assert APIRouter.__module__ == "fastapi.routing"
    made = OpenAPI(openapi="3.1.0", info=Info(title="t", version="1"), tags=[Tag(name="n")])
    assert made.model_dump(exclude_none=True)["tags"] == [{"name": "n"}]
    with pytest.raises(ValidationError, match="2 validation errors"):
        OpenAPI.model_validate({"openapi": 3})


def test_types_made_later_are_built_at_once() -> None:
    class Later(BaseModel):
        size: int

    assert "defer_build" not in BaseModel.model_config
    assert Later.__pydantic_complete__
