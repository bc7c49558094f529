"""Turns an AdmissionReview into its answer.

Denials look like those of the API server, so kubectl prints them the same way: 422 with a cause for
each fault, or 403 for a forbidden operation. An answer never repeats the request.
"""

from __future__ import annotations

import base64
from typing import Any

import orjson

from app.apis.definition import REPLACED_CRD_MESSAGE, is_unpruned
from app.apis.kinds import DELETION_PROTECTION, MODEL_BOOSTER
from app.defaults import defaults
from app.validation import Context, validate
from app.values.fields import FieldError
from app.values.meta import Object
from app.values.text import shortened
from app.values.untyped import as_dict

MAX_WARNINGS = 5
MAX_WARNING_BYTES = 256
"""The API server may truncate longer warnings."""

MAX_MESSAGE_CHARACTERS = 4000
MAX_FIELD_CHARACTERS = 250
MAX_CAUSE_CHARACTERS = 1000
MAX_UID_CHARACTERS = 128

EXEMPT_USERS = frozenset(
    {
        "system:serviceaccount:kube-system:namespace-controller",
        "system:serviceaccount:kube-system:generic-garbage-collector",
        "system:kube-controller-manager",
    }
)
"""Users that may delete a protected object. Without them, a namespace could not be deleted."""

_KIND = {"group": MODEL_BOOSTER.group, "kind": MODEL_BOOSTER.kind}


class NotAReview(ValueError):
    """The request is not an AdmissionReview. The message repeats nothing of the request."""


def validate_review(review: Any, context: Context) -> Object:
    """Returns the answer to a review of the validating webhook.

    Args:
        review: the request's body, as decoded JSON of any shape.
        context: what the verdict depends on besides the request.

    Raises:
        NotAReview: the body is not an AdmissionReview.
    """
    request = _request(review)
    if _is_write(request) and (why := _replaced_advice(request, context)):
        return _denied(request, _status(503, "ServiceUnavailable", f"not possible now: {why}"))
    if not _is_for_booster(request):
        return _allowed(request)
    if (warning := _unwatched_warning(request, context.namespaces)) is not None:
        return _allowed(request, (warning,))
    if request.get("operation") == "DELETE":
        return _deletion(request)
    obj, old = request.get("object"), request.get("oldObject")
    if not isinstance(obj, dict):
        return _denied(request, _status(422, "Invalid", "the request holds no object"))
    verdict = validate(obj, context, old=old if isinstance(old, dict) else None)
    if verdict.faults:
        return _denied(request, invalid_status(name_of(obj), verdict.faults))
    return _allowed(request, verdict.warnings)


def _unwatched_warning(request: Object, namespaces: tuple[str, ...]) -> str | None:
    """Returns a warning for an object in a namespace that the controller does not watch, else None.

    The object is allowed, because another controller may watch the namespace.
    """
    namespace = request.get("namespace")
    if not namespaces or namespace in namespaces or not isinstance(namespace, str):
        return None
    return (
        "this ModelBooster will not be served: the controller watches only the namespaces"
        f" {shortened(', '.join(namespaces), 100)} (watchNamespaces of the Helm chart)"
    )


def mutate_review(review: Any) -> Object:
    """Returns the answer to a review of the mutating webhook: always allowed.

    Mutation comes before validation, so the object may be invalid in any way.

    Args:
        review: the request's body, as decoded JSON of any shape.

    Raises:
        NotAReview: the body is not an AdmissionReview.
    """
    request = _request(review)
    answer = _allowed(request)
    if _is_for_booster(request) and request.get("operation") == "CREATE":
        patch = defaults(request.get("object"))
        if patch:
            encoded = base64.b64encode(orjson.dumps(patch)).decode()
            answer["response"].update(patchType="JSONPatch", patch=encoded)
    return answer


def refuse_undecodable(uid: str, why: str) -> Object:
    """Returns the denial of a review that has a uid but cannot be decoded."""
    return _denied({"uid": uid}, _status(422, "Invalid", why))


def invalid_status(name: str, faults: tuple[FieldError, ...]) -> Object:
    """Returns the Status of an invalid object, with one cause for each fault."""
    lines = list(dict.fromkeys(str(fault) for fault in faults))
    said = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    causes = [
        {
            "reason": str(fault.cause),
            "message": shortened(fault.message, MAX_CAUSE_CHARACTERS),
            "field": shortened(str(fault.path), MAX_FIELD_CHARACTERS),
        }
        for fault in faults
    ]
    message = f'{MODEL_BOOSTER.kind}.{MODEL_BOOSTER.group} "{name}" is invalid: {said}'
    return _status(422, "Invalid", message, {**_KIND, "name": name, "causes": causes})


def name_of(obj: Object) -> str:
    """Returns the name of an object, else its generateName, else ``""``."""
    metadata = as_dict(obj.get("metadata"))
    name = metadata.get("name") or metadata.get("generateName")
    return shortened(name, MAX_FIELD_CHARACTERS) if isinstance(name, str) else ""


def _request(review: Any) -> Object:
    if not isinstance(review, dict):
        raise NotAReview("the body is not a JSON object")
    if review.get("apiVersion") != "admission.k8s.io/v1" or review.get("kind") != "AdmissionReview":
        raise NotAReview("the body is not an AdmissionReview of admission.k8s.io/v1")
    request = review.get("request")
    if not isinstance(request, dict):
        raise NotAReview("the AdmissionReview holds no request")
    uid = request.get("uid")
    if not isinstance(uid, str) or not 0 < len(uid) <= MAX_UID_CHARACTERS:
        raise NotAReview("the request has no uid")
    return request


def _is_for_booster(request: Object) -> bool:
    """Whether the request is for a ModelBooster itself, not for a subresource or another kind."""
    return (
        _is_of_booster(request)
        and not request.get("subResource")
        and request.get("operation") in ("CREATE", "UPDATE", "DELETE")
    )


def _is_of_booster(request: Object) -> bool:
    kind = as_dict(request.get("kind"))
    known = (kind.get("group"), kind.get("version"), kind.get("kind"))
    return known == (MODEL_BOOSTER.group, MODEL_BOOSTER.version, MODEL_BOOSTER.kind)


def _is_write(request: Object) -> bool:
    """Whether the request stores a ModelBooster, directly or by a write of its status."""
    if not _is_of_booster(request) or request.get("operation") not in ("CREATE", "UPDATE"):
        return False
    # An object that is being deleted must lose its finalizers.
    return not as_dict(as_dict(request.get("object")).get("metadata")).get("deletionTimestamp")


def _replaced_advice(request: Object, context: Context) -> str | None:
    """Returns advice while another CustomResourceDefinition is installed; None while ours is.

    An update shows it directly: the API server has just read the stored object, with or without
    the mark of our schema. An object that was never stored has no creation time.
    """
    old = as_dict(request.get("oldObject"))
    if as_dict(old.get("metadata")).get("creationTimestamp"):
        return None if is_unpruned(old) else REPLACED_CRD_MESSAGE
    return context.replaced


def _deletion(request: Object) -> Object:
    old = as_dict(request.get("oldObject"))  # deletecollection sets no name in the request
    metadata = as_dict(old.get("metadata"))
    user = as_dict(request.get("userInfo")).get("username")
    if (
        as_dict(metadata.get("annotations")).get(DELETION_PROTECTION) != "true"
        or metadata.get("deletionTimestamp")
        or (isinstance(user, str) and user in EXEMPT_USERS)
    ):
        return _allowed(request)
    name, plural = name_of(old), MODEL_BOOSTER.plural
    why = f"deletion protection is enabled; remove the annotation {DELETION_PROTECTION} first"
    message = f'{MODEL_BOOSTER} "{name}" is forbidden: {why}'
    details = {"group": MODEL_BOOSTER.group, "kind": plural, "name": name}
    return _denied(request, _status(403, "Forbidden", message, details))


def _allowed(request: Object, warnings: tuple[str, ...] = ()) -> Object:
    response: Object = {"uid": request["uid"], "allowed": True}
    if warnings:
        response["warnings"] = shown_warnings(warnings)
    return _answer(response)


def _denied(request: Object, status: Object) -> Object:
    return _answer({"uid": request["uid"], "allowed": False, "status": status})


def _answer(response: Object) -> Object:
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": response,
    }


def _status(code: int, reason: str, message: str, details: Object | None = None) -> Object:
    text = shortened(message, MAX_MESSAGE_CHARACTERS)
    status: Object = {"status": "Failure", "code": code, "reason": reason, "message": text}
    return status if details is None else {**status, "details": details}


def shown_warnings(warnings: tuple[str, ...]) -> list[str]:
    """Returns warnings as the API server accepts them: few, short, one line each."""
    shown = warnings[:MAX_WARNINGS]
    if len(warnings) > MAX_WARNINGS:
        left_out = len(warnings) - MAX_WARNINGS + 1
        shown = (*warnings[: MAX_WARNINGS - 1], f"{left_out} more warnings are not shown")
    return [_one_line(text) for text in shown]


def _one_line(text: str) -> str:
    printable = text[:MAX_WARNING_BYTES]
    if not printable.isprintable():
        printable = "".join(char if char.isprintable() else " " for char in printable)
    whole = printable.encode()
    if len(whole) <= MAX_WARNING_BYTES and len(text) <= MAX_WARNING_BYTES:
        return printable
    return whole[: MAX_WARNING_BYTES - 3].decode(errors="ignore") + "..."
