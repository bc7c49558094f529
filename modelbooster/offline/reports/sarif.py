"""SARIF 2.1.0, the format of code scanning (GitHub, GitLab, Azure DevOps and editors)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from app.values.meta import Object
from modelbooster.offline.reports.findings import INPUT_FAULT, WARNING, Checked, Finding

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

_RULES = {
    INPUT_FAULT: "The file cannot be read",
    WARNING: "Something allowed that may surprise",
    "FieldValueInvalid": "A value is not allowed",
    "FieldValueRequired": "A required field is missing",
    "FieldValueForbidden": "A field may not be set here",
    "FieldValueDuplicate": "A value occurs twice",
    "FieldValueNotSupported": "A value is none of those that are supported",
    "FieldValueTypeInvalid": "A value has the wrong type",
    "FieldValueTooLong": "A text is too long",
    "FieldValueTooMany": "A list has too many items",
    "FieldValueNotFound": "A value refers to something that does not exist",
}
"""What the reasons mean; one that is not here is described by its name."""


def sarif(documents: Sequence[Checked], version: str) -> Object:
    """Returns the findings as a SARIF log with one run.

    Args:
        documents: what was checked.
        version: version of this program.
    """
    findings = [found for document in documents for found in document.findings]
    reasons = sorted({found.reason for found in findings})
    rules = [
        {"id": reason, "shortDescription": {"text": _RULES.get(reason, reason)}}
        for reason in reasons
    ]
    driver = {"name": "model-booster", "version": version, "rules": rules}
    results = [_result(found, reasons.index(found.reason)) for found in findings]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The repository"}}},
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(found: Finding, rule: int) -> Object:
    result: Object = {
        "ruleId": found.reason,
        "ruleIndex": rule,
        "level": str(found.level),
        "message": {"text": found.message},
    }
    location: Object = {}
    if found.file:
        artifact: Object = {"uri": quote(found.file)}
        if not found.file.startswith("/"):
            artifact["uriBaseId"] = "SRCROOT"
        else:
            artifact["uri"] = "file://" + artifact["uri"]
        region = {"startLine": found.position.line, "startColumn": found.position.column}
        location["physicalLocation"] = {"artifactLocation": artifact, "region": region}
    if found.subject:
        name = f"{found.subject} {found.field}".strip()
        location["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "object"}]
    if location:
        result["locations"] = [location]
    return result
