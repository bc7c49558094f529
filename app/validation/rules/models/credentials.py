"""Warnings about the credentials of downloads.

The downloader reads names of its own; those of other clients have no effect. Whether a Secret of
``envFrom`` holds them is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.catalog.index import is_gated
from app.model.environment import variables
from app.model.forms import BackendForm
from app.validation.inputs import RuleInputs
from app.validation.rules.models.addresses import addresses
from app.validation.subjects import OBJECT_STORAGE

GATED_OWNERS = ("meta-llama/", "google/gemma", "mistralai/", "CohereLabs/", "black-forest-labs/")
"""Prefixes of Hugging Face repositories in which most models require a token."""

_HUB = "hf://"

HUB_VARIABLES = ("HF_AUTH_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""The downloader passes on the first; the hub's own library reads the others by itself."""

STORE_VARIABLES = ("ACCESS_KEY", "SECRET_KEY")
"""What the downloader needs for object storage."""

_OTHER_NAMES = {
    "ACCESS_KEY": ("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "OBS_ACCESS_KEY_ID", "S3_ACCESS_KEY"),
    "SECRET_KEY": (
        *("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"),
        *("OBS_SECRET_ACCESS_KEY", "S3_SECRET_KEY"),
    ),
    "ENDPOINT": (
        *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_S3_ENDPOINT"),
        *("S3_ENDPOINT", "S3_ENDPOINT_URL", "OBS_ENDPOINT"),
    ),
}
"""Names that other clients read, by the name that the downloader reads."""


def gated_models_have_tokens(inputs: RuleInputs) -> Iterator[str]:
    """A download without permission fails only after all retries."""
    for form, _ in inputs.backends:
        gated = [uri for uri in addresses(form) if _is_gated(uri)]
        if not gated or form.env_from:
            continue
        if variables(form).keys().isdisjoint(HUB_VARIABLES):
            yield (
                f"{form.path}.env: {gated[0].removeprefix('hf://')} may ask for a token; "
                f"set {HUB_VARIABLES[0]} if the download fails"
            )


def _is_gated(uri: str) -> bool:
    """Returns whether a download may need a token; the catalogue knows, or the owner tells."""
    if not uri.startswith(_HUB):
        return False
    repository = uri.removeprefix(_HUB)
    known = is_gated(repository)
    return repository.startswith(GATED_OWNERS) if known is None else known


def object_storage_has_keys(inputs: RuleInputs) -> Iterator[str]:
    """The downloader needs ACCESS_KEY and SECRET_KEY; it uses no role of a node or pod."""
    for form in inputs.served_backends:
        stored = [uri for uri in addresses(form) if uri.startswith(OBJECT_STORAGE)]
        if not stored:
            continue
        given = variables(form)
        missing = [name for name in STORE_VARIABLES if name not in given]
        renamed = _renamed(form)
        if missing and not form.env_from:
            advice = f"set {' and '.join(missing)} in env, or in a Secret of envFrom"
            scheme = stored[0].partition("://")[0]
            yield (
                f"{form.path}.env: {scheme}:// needs keys, a role of the node or service account "
                f"is not used; {advice}"
            )
        if renamed:
            names = ", ".join(f"{name} as {meant}" for name, meant in renamed)
            yield f"{form.path}.env: the downloader knows other names; write {names}"


def _renamed(form: BackendForm) -> list[tuple[str, str]]:
    """Returns the variables under names of other clients, each with the name to use."""
    given = variables(form)
    return [
        (other, name)
        for name, others in _OTHER_NAMES.items()
        for other in others
        if other in given and name not in given
    ]
