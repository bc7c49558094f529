"""The API server's answer to a ModelBooster, in a form that can be compared with ours."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NamedTuple

from app.apis.cel import CEL_RULES
from app.apis.kinds import MODEL_BOOSTER
from app.values.fields import FieldError
from app.values.meta import Object
from tests.controlplane.api import Api

_RULE_TEXTS = tuple(rule.message for rule in CEL_RULES)


class Said(NamedTuple):
    """One fault: where, of which kind, and the words about it without the value."""

    path: str
    cause: str
    words: str

    @property
    def by_rule(self) -> bool:
        """Whether a CEL rule says so, and not the schema."""
        return self.words.endswith(_RULE_TEXTS)


@dataclass(frozen=True)
class Answer:
    """What the server says.

    Args:
        object: what it would store; None if it refuses.
        faults: why it refuses.
        unknown: paths of the fields that it would drop.
    """

    object: Object | None
    faults: frozenset[Said]
    unknown: tuple[str, ...]


def ask(api: Api, obj: Object, namespace: str = "default") -> Answer:
    """Returns the server's answer to the creation of a ModelBooster; nothing is created."""
    response = api.client.post(
        MODEL_BOOSTER.path(namespace),
        params={"dryRun": "All", "fieldValidation": "Warn"},
        json=obj,
    )
    body = response.json()
    assert response.status_code in {201, 422}, body
    warnings = (line.partition(" - ")[2] for line in response.headers.get_list("Warning"))
    unknown = (re.fullmatch(r'unknown field "(.*)"', json.loads(text)) for text in warnings)
    causes = body.get("details", {}).get("causes", ())
    return Answer(
        body if response.status_code == 201 else None,
        # Without those of no field: they say what else was not looked at.
        frozenset(
            Said(cause["field"], cause["reason"], without_value(cause["message"]))
            for cause in causes
            if cause["field"] != "<nil>"
        ),
        tuple(sorted(match[1] for match in unknown if match)),
    )


def said(fault: FieldError) -> Said:
    """Returns a fault of ours in the same form."""
    return Said(str(fault.path), str(fault.cause), without_value(fault.message))


def without_value(message: str) -> str:
    """Returns a message without the value, in the words of newer servers."""
    message = _without_go_types(message)
    # Up to 1.31.
    message = re.sub(r"may not be longer than (\d+)$", r"may not be more than \1 bytes", message)
    # 1.37, of an integer with a format.
    message = re.sub(r'of type int(?:32|64): "float64"$', 'of type integer: "number"', message)
    message = re.sub(r"(?s)^(Unsupported value: ).*?: (?=supported values: )", r"\1", message)
    value = r'"(\\.|[^"\\])*"|[^" ]+'
    return re.sub(rf"^Invalid value: ({value}): ", "Invalid value: ", message)


def _without_go_types(message: str) -> str:
    """Up to 1.30 the server prints objects and lists as Go does."""
    return re.sub(r"(?:map\[string\]|\[\])interface \{\}", "", message)


_REFUSED_BY_RULE = re.compile(
    rf'Invalid value: (?:"([^"]*)": )?({"|".join(map(re.escape, _RULE_TEXTS))})$', re.MULTILINE
)


def in_default_words(printed: str) -> str:
    """Returns what kubectl prints of a refusal as Kubernetes 1.34 words it.

    Up to 1.30 the server prints an object as Go does, and null as a text. Of a value that breaks a
    CEL rule, 1.34 prints the type, and 1.37 the value, or nothing if that is no scalar.
    """
    text = _without_go_types(printed)
    text = text.replace('value: "null": some', "value: null: some")

    def with_type(match: re.Match[str]) -> str:
        value, message = match.groups()
        is_text = value not in (None, "object")
        return f'Invalid value: "{"string" if is_text else "object"}": {message}'

    return _REFUSED_BY_RULE.sub(with_type, text)
