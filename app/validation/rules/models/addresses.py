"""Rules about the addresses of models and adapters: each scheme has one form.

They only hold at admission. An object that was stored before they existed keeps its children; its
download may have worked, for instance with a hub of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.model.forms import BackendForm, cached_fact
from app.validation.inputs import RuleInputs
from app.values.fields import FieldError, Path, invalid

_REVISIONS = {"hf": "HF_REVISION", "ms": "MS_REVISION"}
"""The variable of ``env`` that holds the revision to download, by scheme."""

_HUBS = {"hf": "Hugging Face", "ms": "ModelScope"}

_SEGMENT = r"[.-]*\w[\w.-]*"
_REPOSITORY = f"{_SEGMENT}/{_SEGMENT}"
_USUAL = re.compile(f"(?:hf|ms)://{_SEGMENT}/{_SEGMENT}")
"""The address of a repository, as most are."""
_HOST = r"(https?://)?(www\.)?(huggingface\.co|hf\.co|modelscope\.(cn|ai))/(models/)?"
"""What the address of a repository's page begins with."""

_PAGE = r"/(tree|blob|resolve|raw|commit)/([^/?#]+)"
"""The part of such an address that names a revision."""


def addresses_have_their_form(inputs: RuleInputs) -> Iterator[FieldError]:
    """``modelURI`` and ``artifactURL`` have the form of their scheme.

    They are ``hf://owner/name``, ``ms://owner/name``, ``s3://bucket/path`` or
    ``obs://bucket/path``, without blanks. A revision is not part of the address.
    """
    for form in inputs.served_backends:
        for position, uri in enumerate(addresses(form)):
            detail = None if _USUAL.fullmatch(uri) else _fault_of(uri)
            if detail is not None:
                yield invalid(_path(form, position), uri, detail)


@cached_fact
def addresses(form: BackendForm) -> list[str]:
    """Returns the addresses of a backend: that of its model, then those of its adapters."""
    return [form.model_uri, *[adapter.artifact_url for adapter in form.lora_adapters]]


def _path(form: BackendForm, position: int) -> Path:
    """Returns the path of one of the addresses of a backend."""
    if position == 0:
        return form.path.child("modelURI")
    return form.path.child("loraAdapters").index(position - 1).child("artifactURL")


def _fault_of(uri: str) -> str | None:
    """Returns what is wrong with an address, and what to write; None if nothing is."""
    scheme, _, rest = uri.partition("://")
    if scheme in _HUBS:
        return None if _is_repository(rest) else _hub_fault(scheme, rest)
    if scheme == "pvc":
        return "must not begin or end with a blank" if rest != rest.strip() else None
    if any(map(str.isspace, rest)):
        return f"must not contain blanks; write {scheme}://bucket/path"
    if not rest.partition("/")[0]:
        return f"names no bucket; write {scheme}://bucket/path"
    return None


def _is_repository(rest: str) -> bool:
    return re.fullmatch(_REPOSITORY, rest) is not None


def _hub_fault(scheme: str, rest: str) -> str:
    form = f"{scheme}://owner/name"
    text = re.sub(_HOST, "", rest.strip(), count=1)
    text, revision = _without_revision(text.strip("/"))
    meant = f"{scheme}://{text}" if _is_repository(text) else form
    if revision is not None:
        value = revision or "the revision"
        return f"a revision goes into env: write {meant}, and {_REVISIONS[scheme]}: {value} in env"
    if any(map(str.isspace, rest)):
        return f"must not contain blanks; write {meant}"
    return f"must name one repository of {_HUBS[scheme]}; write {meant}"


def _without_revision(text: str) -> tuple[str, str | None]:
    """Returns an address and the revision in it, in any of the forms that other tools take."""
    page = re.search(_PAGE, text)
    if page is not None:
        return text[: page.start()], page[2]
    for sign in ("@", "?revision=", "#", ":"):
        name, found, revision = text.partition(sign)
        if found:
            return name, revision
    return text, None
