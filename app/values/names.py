"""What Kubernetes takes for a name of this or that, and what it says of anything else.

Grammars and words are those of its own checks (apimachinery, ``util/validation``): a pod whose
template holds anything else is refused, long after the ModelBooster was admitted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"

_IS_LABEL = re.compile(_LABEL)
_IS_SUBDOMAIN = re.compile(_SUBDOMAIN)
_IS_QUALIFIED = re.compile(_QUALIFIED)
_IS_VALUE = re.compile(f"({_QUALIFIED})?")
_IS_KEY = re.compile("[-._a-zA-Z0-9]+")
_IS_PLAIN_VARIABLE = re.compile("[-._a-zA-Z][-._a-zA-Z0-9]*")
_IS_VARIABLE = re.compile("[ -<>-~]*")

_LONGEST_LABEL = 63
_LONGEST_SUBDOMAIN = 253

_BETWEEN = "and must start and end with an alphanumeric character"
_OF_A_NAME = f"must consist of alphanumeric characters, '-', '_' or '.', {_BETWEEN}"


def subdomain_faults(text: str) -> Iterator[str]:
    """Yields why a text names no object, as of ConfigMaps, Secrets, RuntimeClasses and nodes."""
    if len(text) > _LONGEST_SUBDOMAIN:
        yield _at_most(_LONGEST_SUBDOMAIN)
    if not _IS_SUBDOMAIN.fullmatch(text):
        yield (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
            f"'-' or '.', {_BETWEEN} (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        )


def label_faults(text: str) -> Iterator[str]:
    """Yields why a text is no name without dots, as of namespaces and volumes."""
    if len(text) > _LONGEST_LABEL:
        yield _at_most(_LONGEST_LABEL)
    if _IS_LABEL.fullmatch(text):
        return
    if _IS_SUBDOMAIN.fullmatch(text):
        yield "must not contain dots"
    else:
        yield (
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or "
            f"'-', {_BETWEEN} (e.g. 'my-name',  or '123-abc', regex used for validation is "
            f"'{_LABEL}')"
        )


def qualified_faults(text: str) -> Iterator[str]:
    """Yields why a text names no label, taint or resource: ``name`` or ``example.com/name``."""
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
    elif len(name) > _LONGEST_LABEL:
        yield f"name part {_at_most(_LONGEST_LABEL)}"
    if not _IS_QUALIFIED.fullmatch(name):
        yield f"name part {_named()}"


def value_faults(text: str) -> Iterator[str]:
    """Yields why a text is no value of a label or taint."""
    if len(text) > _LONGEST_LABEL:
        yield _at_most(_LONGEST_LABEL)
    if not _IS_VALUE.fullmatch(text):
        yield (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', "
            f"'_' or '.', {_BETWEEN} (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
            "validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        )


def key_faults(text: str) -> Iterator[str]:
    """Yields why a text is no key of a ConfigMap or Secret."""
    if len(text) > _LONGEST_SUBDOMAIN:
        yield _at_most(_LONGEST_SUBDOMAIN)
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
    """Yields why a text names no environment variable, as Kubernetes 1.32 and later say."""
    if not _IS_VARIABLE.fullmatch(text):
        yield (
            "a valid environment variable name must consist only of printable ASCII characters "
            "other than '='"
        )


def is_plain_variable(text: str) -> bool:
    """Whether every release of Kubernetes takes a text for the name of a variable."""
    return bool(_IS_PLAIN_VARIABLE.fullmatch(text)) and text != "." and not text.startswith("..")


def _named() -> str:
    return (
        f"{_OF_A_NAME} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
        f"'{_QUALIFIED}')"
    )


def _at_most(characters: int) -> str:
    return f"must be no more than {characters} characters"
