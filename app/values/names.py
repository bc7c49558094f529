"""Names that Kubernetes accepts, and its messages for names that it does not.

The grammars and messages are those of apimachinery, ``pkg/util/validation``. Without these checks,
the API server would reject the pods long after it accepted the ModelBooster.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
"""Grammar of an RFC 1123 label, not anchored."""

SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
"""Grammar of an RFC 1123 subdomain: labels with dots between them."""

QUALIFIED_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
"""Grammar of the name part of a label key or taint key."""

MAX_LABEL_LENGTH = 63
MAX_SUBDOMAIN_LENGTH = 253

_IS_LABEL = re.compile(LABEL)
_IS_SUBDOMAIN = re.compile(SUBDOMAIN)
_IS_QUALIFIED = re.compile(QUALIFIED_NAME)
_IS_VALUE = re.compile(f"({QUALIFIED_NAME})?")
_IS_KEY = re.compile("[-._a-zA-Z0-9]+")
_IS_PLAIN_VARIABLE = re.compile("[-._a-zA-Z][-._a-zA-Z0-9]*")
_IS_VARIABLE = re.compile("[ -<>-~]*")

_BETWEEN = "and must start and end with an alphanumeric character"
_OF_A_NAME = f"must consist of alphanumeric characters, '-', '_' or '.', {_BETWEEN}"


def subdomain_faults(text: str) -> Iterator[str]:
    """Yields why a text is not an RFC 1123 subdomain, the name of most kinds of objects."""
    if len(text) > MAX_SUBDOMAIN_LENGTH:
        yield _at_most(MAX_SUBDOMAIN_LENGTH)
    if not _IS_SUBDOMAIN.fullmatch(text):
        yield (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
            f"'-' or '.', {_BETWEEN} (e.g. 'example.com', regex used for validation is "
            f"'{SUBDOMAIN}')"
        )


def is_subdomain(text: str) -> bool:
    """Returns whether a text is an RFC 1123 subdomain of at most 253 characters."""
    return len(text) <= MAX_SUBDOMAIN_LENGTH and bool(_IS_SUBDOMAIN.fullmatch(text))


def label_faults(text: str) -> Iterator[str]:
    """Yields why a text is not an RFC 1123 label, the name of namespaces and volumes."""
    if len(text) > MAX_LABEL_LENGTH:
        yield _at_most(MAX_LABEL_LENGTH)
    if _IS_LABEL.fullmatch(text):
        return
    if _IS_SUBDOMAIN.fullmatch(text):
        yield "must not contain dots"
    else:
        yield (
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or "
            f"'-', {_BETWEEN} (e.g. 'my-name',  or '123-abc', regex used for validation is "
            f"'{LABEL}')"
        )


def qualified_faults(text: str) -> Iterator[str]:
    """Yields why a text is not a qualified name: ``name`` or ``example.com/name``.

    Keys of labels and taints, and names of resources, are qualified names.
    """
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        yield (
            f"a qualified name {_named()} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        )
        return
    if slash:
        if not prefix:
            yield "prefix part must be non-empty"
        else:
            yield from (f"prefix part {fault}" for fault in subdomain_faults(prefix))
    if not name:
        yield "name part must be non-empty"
    elif len(name) > MAX_LABEL_LENGTH:
        yield f"name part {_at_most(MAX_LABEL_LENGTH)}"
    if not _IS_QUALIFIED.fullmatch(name):
        yield f"name part {_named()}"


def value_faults(text: str) -> Iterator[str]:
    """Yields why a text is not a valid value of a label or taint."""
    if len(text) > MAX_LABEL_LENGTH:
        yield _at_most(MAX_LABEL_LENGTH)
    if not _IS_VALUE.fullmatch(text):
        yield (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', "
            f"'_' or '.', {_BETWEEN} (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
            f"validation is '({QUALIFIED_NAME})?')"
        )


def key_faults(text: str) -> Iterator[str]:
    """Yields why a text is not a valid key of a ConfigMap or Secret."""
    if len(text) > MAX_SUBDOMAIN_LENGTH:
        yield _at_most(MAX_SUBDOMAIN_LENGTH)
    if not _IS_KEY.fullmatch(text):
        yield (
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
            "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
            "'[-._a-zA-Z0-9]+')"
        )
    if text in (".", ".."):
        yield f"must not be '{text}'"
    elif text.startswith(".."):
        yield "must not start with '..'"


def variable_faults(text: str) -> Iterator[str]:
    """Yields why a text is not the name of an environment variable (Kubernetes 1.32 and later)."""
    if not _IS_VARIABLE.fullmatch(text):
        yield (
            "a valid environment variable name must consist only of printable ASCII characters "
            "other than '='"
        )


def is_plain_variable(text: str) -> bool:
    """Returns whether every Kubernetes release accepts a text as the name of a variable."""
    return bool(_IS_PLAIN_VARIABLE.fullmatch(text)) and text != "." and not text.startswith("..")


def _named() -> str:
    return (
        f"{_OF_A_NAME} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
        f"'{QUALIFIED_NAME}')"
    )


def _at_most(characters: int) -> str:
    return f"must be no more than {characters} characters"
