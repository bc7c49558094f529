"""What the webhook would say, and what the controller would make, without a cluster.

The documents of one call are taken as one cluster: each is judged as if the others were applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from app.apis.kinds import MODEL_BOOSTER
from app.apis.pruning import stored
from app.convert import desired_children
from app.defaults import defaulted
from app.lookup import lookup_among
from app.model.canonical import Model
from app.model.children import Desired
from app.validation import Context, judge
from app.values.fields import Cause, FieldError, Path, required
from app.values.meta import Key, Object
from modelbooster.offline.documents import Document

NO_UID = "00000000-0000-0000-0000-000000000000"
"""Uid of a ModelBooster that no API server has given one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the webhook would say to one document.

    Args:
        document: as it was read.
        context: what the answer depends on besides the document.
        faults: why it is refused.
        warnings: what may surprise.
        model: what it means; None if it cannot be told.
    """

    document: Document
    context: Context
    faults: tuple[FieldError, ...]
    warnings: tuple[str, ...]
    model: Model | None

    @property
    def allowed(self) -> bool:
        """Whether it would be let in."""
        return not self.faults

    def summary(self) -> Object:
        """Returns the answer as JSON; a stable form that other tools read."""
        return {
            "name": name_of(self.document.object),
            "allowed": self.allowed,
            "causes": [
                {"field": str(f.path), "reason": str(f.cause), "message": f.message}
                for f in self.faults
            ],
            "warnings": list(self.warnings),
        }

    def text(self) -> str:
        """Returns the answer as lines in kubectl's words."""
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
) -> list[Answer]:
    """Returns what the webhook would say to each ModelBooster among the documents.

    Args:
        documents: objects of any kind; those of others are only noted.
        context: what the answers depend on; its lookup is replaced by the documents themselves.
        strict: whether unknown fields are refused, as kubectl does, or only warned of.
        namespace: where objects stand that name none.
        note: told what is left out, and why.
    """
    boosters: list[tuple[Document, Object, tuple[str, ...]]] = []
    for document in documents:
        if not is_booster(document.object):
            version = document.object.get("apiVersion")
            note(f"{document.source}: {document} ({version}) is no ModelBooster: left out")
            continue
        kept = stored(document.object)
        obj = defaulted(_placed(kept.object, namespace))
        boosters.append((document, obj, kept.unknown))
    named = [obj for _, obj, _ in boosters if obj["metadata"].get("name")]
    context = replace(context, lookup=lookup_among(named))
    seen: set[Key] = set()
    found = []
    for document, obj, unknown in boosters:
        answer = _answer(document, obj, unknown, context, strict=strict)
        key = Key(obj["metadata"]["namespace"], name_of(obj))
        if key in seen:
            note(f"{document.source}: {document} stands in the input twice")
        seen.add(key)
        found.append(answer)
    return found


def children(answer: Answer) -> list[Object]:
    """Returns the children that the controller would make; none of what is refused."""
    uid = answer.model.uid if answer.model else ""
    return [child.object for child in desired(answer, uid or NO_UID)]


def desired(answer: Answer, uid: str) -> list[Desired]:
    """Returns the same children as they are wanted, of a ModelBooster with this uid."""
    if not answer.allowed or answer.model is None:
        return []
    model = replace(answer.model, uid=uid)
    return desired_children(model, answer.context.release_profile, answer.context.options)


def is_booster(obj: Object) -> bool:
    """Whether an object is a ModelBooster of the version that we know."""
    return (obj.get("apiVersion"), obj.get("kind")) == (
        MODEL_BOOSTER.api_version,
        MODEL_BOOSTER.kind,
    )


def name_of(obj: Object) -> str:
    """Returns what to call an object: its name, else the beginning of the name that it will get."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        return ""
    return str(metadata.get("name") or metadata.get("generateName") or "")


def _placed(obj: Object, namespace: str) -> Object:
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    return {**obj, "metadata": {"namespace": namespace, **metadata}}


def _answer(
    document: Document, obj: Object, unknown: tuple[str, ...], context: Context, *, strict: bool
) -> Answer:
    unnamed = [] if name_of(obj) else [_UNNAMED]
    verdict = judge(obj, context)
    texts = tuple(f'unknown field "{path}"' for path in unknown)
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
    )


_UNNAMED = required(Path("metadata.name"), "name or generateName is required")
