"""Computes answers of the webhook and children of the controller, without a cluster.

The documents of one call form one cluster: each is validated as if the others were applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from app.apis.kinds import MODEL_BOOSTER
from app.apis.pruning import pruned
from app.convert import desired_children
from app.defaults import defaulted
from app.lookup import lookup_among
from app.model.children import Desired
from app.model.forms import Model
from app.validation import Context, validate
from app.values.fields import Cause, FieldError, Path, invalid, required
from app.values.meta import Key, Object
from app.values.names import label_faults
from app.values.untyped import display_name
from app.values.value import value
from modelbooster.offline.documents import Document

NO_UID = "00000000-0000-0000-0000-000000000000"
"""Uid of a ModelBooster that was never stored."""


@value
class Answer:
    """The answer of the webhook to one document.

    Args:
        document: the document as read.
        context: what the answer depends on besides the document.
        faults: why the document is refused; empty if it is allowed.
        warnings: warnings of the webhook.
        model: the canonical form; None if the document is too broken for it.
        object: the object as the API server would store it.
    """

    document: Document
    context: Context
    faults: tuple[FieldError, ...]
    warnings: tuple[str, ...]
    model: Model | None
    object: Object

    @property
    def key(self) -> Key:
        """Namespace and name of the object."""
        return _key_of(self.object)

    @property
    def allowed(self) -> bool:
        """Whether the webhook allows the document."""
        return not self.faults

    def summary(self) -> Object:
        """Returns the answer as JSON; a stable form that other tools read."""
        return {
            "name": display_name(self.document.object),
            "allowed": self.allowed,
            "causes": [
                {"field": str(f.path), "reason": str(f.cause), "message": f.message}
                for f in self.faults
            ],
            "warnings": list(self.warnings),
        }

    def text(self) -> str:
        """Returns the answer as text, worded like kubectl."""
        verdict = f"{self.document.source}: {self.document} is valid\n" if self.allowed else ""
        return self.problems() + verdict

    def problems(self) -> str:
        """Returns warnings and refusal as lines; ``""`` if there are none."""
        at = self.document.source
        lines = [f"{at}: Warning: {text}" for text in self.warnings]
        if len(self.faults) == 1:
            lines.append(f"{at}: The {self.document} is invalid: {self.faults[0]}")
        elif self.faults:
            lines.append(f"{at}: The {self.document} is invalid:")
            lines += [f"* {fault}" for fault in self.faults]
        return "".join(line + "\n" for line in lines)


def answers(
    documents: Iterable[Document],
    context: Context,
    *,
    strict: bool = False,
    namespace: str = "default",
    note: Callable[[str], None],
    replaced: Mapping[Key, Object] | None = None,
    stored: bool = False,
) -> list[Answer]:
    """Returns the answer of the webhook to each ModelBooster among the documents.

    Args:
        documents: objects of any kind; other kinds are skipped with a note.
        context: what the answers depend on; its lookup is replaced by the documents.
        strict: whether unknown fields are refused, as in kubectl, or cause a warning.
        namespace: namespace of objects that set none.
        note: called with the reason for each skipped or repeated object.
        replaced: objects that documents of the same key replace. What admission ignores in an
            update is a warning then.
        stored: whether the documents are stored already: they replace themselves.
    """
    boosters: list[tuple[Document, Object, tuple[str, ...]]] = []
    for document in documents:
        if not is_booster(document.object):
            version = document.object.get("apiVersion")
            note(f"{document.source}: {document} ({version}) is no ModelBooster: left out")
            continue
        clean = pruned(document.object)
        obj = defaulted(_with_namespace(clean.object, namespace))
        boosters.append((document, obj, clean.unknown))
    named = [obj for _, obj, _ in boosters if obj["metadata"].get("name")]
    context = replace(context, lookup=lookup_among(named))
    seen: set[Key] = set()
    found = []
    for document, obj, unknown in boosters:
        key = _key_of(obj)
        old = obj if stored else (replaced or {}).get(key)
        answer = _answer(document, obj, unknown, context, strict=strict, old=old)
        if key in seen:
            note(f"{document.source}: {document} stands in the input twice")
        seen.add(key)
        found.append(answer)
    return found


def children(answer: Answer) -> list[Object]:
    """Returns the children that the controller would create; none if the answer is a refusal."""
    uid = answer.model.uid if answer.model else ""
    return [child.object for child in desired(answer, uid or NO_UID)]


def desired(answer: Answer, uid: str) -> list[Desired]:
    """Returns the desired children of a ModelBooster with this uid; none if it is refused."""
    if not answer.allowed or answer.model is None:
        return []
    model = replace(answer.model, uid=uid)
    return desired_children(model, answer.context.release_profile, answer.context.options)


def is_booster(obj: Object) -> bool:
    """Whether an object is a ModelBooster of the served API version."""
    return (obj.get("apiVersion"), obj.get("kind")) == (
        MODEL_BOOSTER.api_version,
        MODEL_BOOSTER.kind,
    )


def _key_of(obj: Object) -> Key:
    return Key(obj["metadata"]["namespace"], display_name(obj))


def _with_namespace(obj: Object, namespace: str) -> Object:
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    return {**obj, "metadata": {"namespace": namespace, **metadata}}


def _answer(
    document: Document,
    obj: Object,
    unknown: tuple[str, ...],
    context: Context,
    *,
    strict: bool,
    old: Object | None,
) -> Answer:
    unnamed = [] if display_name(obj) else [_UNNAMED]
    unnamed += _namespace_faults(obj["metadata"]["namespace"])
    verdict = validate(obj, context)
    if verdict.faults and old is not None:
        update = validate(obj, context, old=old)
        ignored = tuple(str(fault) for fault in verdict.faults if fault not in update.faults)
        verdict = replace(update, warnings=ignored)
    texts = tuple(map(_unknown_text, unknown))
    refused = (
        [FieldError(Path(p), Cause.INVALID, t) for p, t in zip(unknown, texts, strict=True)]
        if strict
        else []
    )
    return Answer(
        document=document,
        context=context,
        faults=(*unnamed, *refused, *verdict.faults),
        warnings=verdict.warnings if strict else (*texts, *verdict.warnings),
        model=verdict.model,
        object=obj,
    )


def _namespace_faults(namespace: object) -> list[FieldError]:
    """Returns why no namespace has this name. The API server would not find it."""
    if not isinstance(namespace, str):
        return []
    return [invalid(Path("metadata.namespace"), namespace, f) for f in label_faults(namespace)]


def _unknown_text(path: str) -> str:
    """Returns the text of the API server about an unknown field, and what to write instead."""
    from app.apis.unknown import advice_for

    advice = advice_for(path)
    return f'unknown field "{path}"' + (f"; {advice}" if advice else "")


_UNNAMED = required(Path("metadata.name"), "name or generateName is required")
