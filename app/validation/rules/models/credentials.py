"""Warnings about the credentials of downloads.

Each downloader reads some names; others have no effect. Ours also finds roles, and reads public
buckets. Kthena's needs the keys. Whether a Secret of ``envFrom`` holds them is not known here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

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
"""Kthena's downloader passes on the first; the hub's own library reads the others by itself."""

_OWN_HUB_VARIABLES = ("HUGGINGFACE_TOKEN", "HF_TOKEN_PATH")
"""What our downloader reads besides."""

STORE_VARIABLES = ("ACCESS_KEY", "SECRET_KEY")
"""The keys of object storage. Kthena's downloader needs both."""

_OWN_STORE_VARIABLES = frozenset(
    (
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
    )
)
"""What our downloader reads besides, in ``s3://``."""

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
"""Names that other clients read, by the name that every downloader reads."""


def gated_models_have_tokens(inputs: RuleInputs) -> Iterator[str]:
    """A download without permission fails only after all retries."""
    for form, _ in inputs.backends:
        gated = [uri for uri in addresses(form) if _is_gated(uri)]
        if not gated or form.env_from:
            continue
        own = inputs.context.options.has_own_downloader
        names = (*HUB_VARIABLES, *(_OWN_HUB_VARIABLES if own else ()))
        if variables(form).keys().isdisjoint(names):
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
    """The downloader reads ACCESS_KEY, SECRET_KEY, ENDPOINT, and AWS_* names that it knows.

    Without keys, our downloader uses a role of the node or service account, or reads the bucket as
    a public one. kthena's needs the keys.
    """
    own = inputs.context.options.has_own_downloader
    for form in inputs.served_backends:
        stored = [uri for uri in addresses(form) if uri.startswith(OBJECT_STORAGE)]
        if not stored:
            continue
        scheme = stored[0].partition("://")[0]
        renamed = _renamed(form, _OWN_STORE_VARIABLES if own and scheme == "s3" else ())
        if not form.env_from and (lack := _lack(form, scheme, own=own)):
            yield f"{form.path}.env: {scheme}:// {lack} in env, or in a Secret of envFrom"
        if renamed:
            names = ", ".join(f"{name} as {meant}" for name, meant in renamed)
            yield f"{form.path}.env: the downloader knows other names; write {names}"


def _lack(form: BackendForm, scheme: str, *, own: bool) -> str:
    """Returns which variables a download from object storage lacks; ``""`` if it lacks none."""
    given = variables(form)
    missing = [name for name in STORE_VARIABLES if name not in given]
    if not own and missing:
        role = "a role of the node or service account is not used"
        return f"needs keys, {role}; set {' and '.join(missing)}"
    if own and len(missing) == 1:
        return f"needs both keys or none; set {missing[0]}"
    if own and scheme == "obs" and "ENDPOINT" not in given:
        return "needs the address of its server; set ENDPOINT"
    return ""


def _renamed(form: BackendForm, known: Collection[str]) -> list[tuple[str, str]]:
    """Returns the variables under names of other clients, each with the name to use."""
    given = variables(form)
    return [
        (other, name)
        for name, others in _OTHER_NAMES.items()
        for other in others
        if other in given and other not in known and name not in given
    ]
