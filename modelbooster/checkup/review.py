"""Asks the API server who may do what (``kubectl auth can-i``)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from app.errors import ApiError, Forbidden
from app.kube import Kube
from app.values.meta import Object, Resource
from app.values.untyped import as_dict
from modelbooster.checkup.facts import Reviewed, Right
from modelbooster.checkup.installation import Installation
from modelbooster.checkup.rights import operator_rights, user_rights

_GROUP = "authorization.k8s.io"
SELF_REVIEW = Resource(
    _GROUP, "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
REVIEW = Resource(_GROUP, "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False)
WHO_AM_I = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False
)

_SYSTEM_GROUPS = ["system:serviceaccounts", "system:authenticated"]


async def user_name(kube: Kube) -> str:
    """Returns the name of the user; ``""`` if the API server does not tell it."""
    try:
        answer = await kube.create(WHO_AM_I, _question(WHO_AM_I))
    except ApiError:
        return ""
    return str(as_dict(as_dict(answer.get("status")).get("userInfo")).get("username", ""))


async def review_user(kube: Kube, namespace: str) -> Reviewed:
    """Returns what the user may not do in a namespace."""
    rights = user_rights(namespace)
    try:
        denied = await _denied(kube, SELF_REVIEW, rights, {})
    except Forbidden:
        return Reviewed(lacks=f"create {SELF_REVIEW}")
    return Reviewed({"": denied}, len(rights))


async def review_operator(kube: Kube, installation: Installation) -> Reviewed:
    """Returns what the service accounts of the operator may not do."""
    needed = operator_rights(installation)
    denied = {}
    try:
        for account, rights in needed.items():
            namespace = account.split(":")[2]
            groups = [*_SYSTEM_GROUPS, f"system:serviceaccounts:{namespace}"]
            whose = {"user": account, "groups": groups}
            denied[account] = await _denied(kube, REVIEW, rights, whose)
    except Forbidden:
        return Reviewed(lacks=f"create {REVIEW}")
    return Reviewed(denied, sum(map(len, needed.values())))


async def _denied(
    kube: Kube, resource: Resource, rights: Iterable[Right], whose: Object
) -> tuple[Right, ...]:
    async def is_denied(right: Right) -> bool:
        question = _question(resource, {**whose, "resourceAttributes": _attributes(right)})
        answer = await kube.create(resource, question)
        return not as_dict(answer.get("status")).get("allowed")

    asked = list(rights)
    answers = await asyncio.gather(*map(is_denied, asked))
    return tuple(right for right, denied in zip(asked, answers, strict=True) if denied)


def _attributes(right: Right) -> Object:
    resource, _, subresource = right.resource.partition("/")
    plural, _, group = resource.partition(".")
    return {
        "verb": right.verb,
        "group": group,
        "resource": plural,
        "subresource": subresource,
        "name": right.name,
        "namespace": right.namespace,
    }


def _question(resource: Resource, spec: Object | None = None) -> Object:
    question: Object = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {},
    }
    return question if spec is None else {**question, "spec": spec}
