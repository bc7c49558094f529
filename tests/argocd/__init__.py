"""Runs the health check for Argo CD as Argo CD does: by Lua 5.1, with the object as ``obj``."""

from __future__ import annotations

from pathlib import Path

from lupa import lua51

from app.values.meta import Object

SCRIPT = Path(__file__).parents[2] / "deploy" / "argocd" / "health.lua"


def health(obj: Object) -> dict[str, str]:
    """Returns status and message that the script gives an object."""
    runtime = lua51.LuaRuntime(register_eval=False)
    runtime.globals()["obj"] = runtime.table_from(obj, recursive=True)
    return dict(runtime.execute(SCRIPT.read_text()))
