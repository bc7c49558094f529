"""Where pods fetch what a command names: the model and its adapters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from app.apis.modelbooster import SOURCE_PATTERN
from app.errors import UsageError
from app.values.meta import Object
from modelbooster.commandline.secrets import looks_secret
from modelbooster.commandline.shell import shown

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_CACHED = re.compile(
    r"(?:^|/)models--([\w.]+(?:-[\w.]+)*)--([\w.-]+?)(?:/snapshots/([0-9a-f]{6,64}))?/?$", re.ASCII
)
"""A folder in the cache of Hugging Face's hub."""

_HUGGING_FACE = re.compile(r"https?://(?:huggingface\.co|hf\.co)/([^/]+/[^/]+)/?$")
_MODELSCOPE = ("VLLM_USE_MODELSCOPE", "SGLANG_USE_MODELSCOPE")


class Source(NamedTuple):
    """A source of a model.

    Args:
        uri: as in ``modelURI``.
        repository: ``owner/name`` on a hub; empty for other sources.
        revision: the revision that the path tells; empty if it tells none.
    """

    uri: str
    repository: str = ""
    revision: str = ""


def uses_modelscope(variables: Mapping[str, str | None]) -> bool:
    """Returns whether the engine fetches models from ModelScope instead of Hugging Face."""
    return any(str(variables.get(name)).lower() in ("1", "true") for name in _MODELSCOPE)


def source_of(text: str, *, modelscope: bool = False) -> Source | None:
    """Returns the source that a model's name or path means; None if pods cannot reach it."""
    if re.match(SOURCE_PATTERN, text):
        scheme, _, rest = text.partition("://")
        return Source(text, rest if scheme in ("hf", "ms") else "")
    if cached := _CACHED.search(text):
        repository = f"{cached[1]}/{cached[2]}"
        return Source(f"hf://{repository}", repository, cached[3] or "")
    if page := _HUGGING_FACE.match(text):
        text = page[1]
    if _REPOSITORY.fullmatch(text):
        return Source(f"{'ms' if modelscope else 'hf'}://{text}", text)
    return None


def model_source(
    text: str, given: str | None, *, modelscope: bool, mounts: Mapping[str, str]
) -> Source:
    """Returns the source of the model.

    Args:
        text: the model as the command names it.
        given: the source that the user states instead; None without one.
        modelscope: whether names are those of ModelScope.
        mounts: host paths by their paths in the container.

    Raises:
        UsageError: pods cannot fetch it, or what is stated is no source.
    """
    advice = (
        "state where pods fetch it from: --model-uri hf://OWNER/NAME, s3://BUCKET/PATH, or "
        "pvc://CLAIM/PATH with --cache pvc://CLAIM"
    )
    _refuse_secrets(given or text, "--model-uri" if given else "the model")
    if given is not None:
        if not re.match(SOURCE_PATTERN, given):
            detail = "it must begin with hf://, ms://, s3://, obs:// or pvc://"
            raise UsageError(f'--model-uri "{given}" is no source of a model: {detail}')
        scheme, _, rest = given.partition("://")
        return Source(given, rest if scheme in ("hf", "ms") else "")
    if not text:
        raise UsageError("the command names no model: vllm serve OWNER/NAME, or --model OWNER/NAME")
    found = source_of(text, modelscope=modelscope)
    if found is not None:
        return found
    host = host_path(text, mounts)
    where = f"a folder of your machine ({shown(host)})" if host else "no repository OWNER/NAME"
    raise UsageError(f'the model "{shown(text)}" is {where}, which pods do not have; {advice}')


def _refuse_secrets(address: str, what: str) -> None:
    """Raises UsageError if an address holds a password or a token; the text does not print it."""
    if looks_secret(address):
        raise UsageError(
            f"{what}: the address holds a password or a token, which must not be in a manifest; "
            "write it without, and give the credentials to pods by env of the backend"
        )


def host_path(path: str, mounts: Mapping[str, str]) -> str:
    """Returns the path on the machine of a path in the container; empty if nothing is mounted."""
    for folder, host in mounts.items():
        if path == folder or path.startswith(f"{folder.rstrip('/')}/"):
            return host.rstrip("/") + path[len(folder.rstrip("/")) :]
    return ""


def adapters_of(items: Any, *, modelscope: bool) -> tuple[list[Object], list[str]]:
    """Returns ``loraAdapters`` of what a command lists, and the names of those that pods lack."""
    found: list[Object] = []
    missing: list[str] = []
    for item in items if isinstance(items, list) else [items]:
        if isinstance(item, dict):
            name = str(item.get("name") or item.get("lora_name") or "")
            path = str(item.get("path") or item.get("lora_path") or "")
        else:
            name, equals, path = str(item).partition("=")
            name, path = (name, path) if equals else (name.rpartition("/")[2], name)
        _refuse_secrets(path, f"the adapter {shown(name)}")
        source = source_of(path, modelscope=modelscope)
        if source is None:
            missing.append(shown(name))
        else:
            found.append({"name": name, "artifactURL": source.uri})
    return found, missing
