"""JUnit XML, which most CI systems show as test results: one test case for each document."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from modelbooster.offline.reports.findings import Checked, Finding

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot express."""


def junit(documents: Sequence[Checked]) -> str:
    """Returns the findings as JUnit XML; faults are failures, warnings go to ``system-out``."""
    failed = sum(1 for document in documents if document.errors)
    counts = f'tests="{len(documents)}" failures="{failed}" errors="0" skipped="0"'
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites name="model-booster validate" {counts}>\n'
        f'  <testsuite name="model-booster validate" {counts}>\n'
        f"{''.join(map(_case, documents))}"
        "  </testsuite>\n"
        "</testsuites>\n"
    )


def _case(document: Checked) -> str:
    errors = document.errors
    warnings = [found for found in document.findings if found not in errors]
    parts = []
    if errors:
        first = errors[0]
        said = f"message={_attribute(first.message)} type={_attribute(first.reason)}"
        parts.append(f"      <failure {said}>{_text(errors)}</failure>\n")
    if warnings:
        parts.append(f"      <system-out>{_text(warnings)}</system-out>\n")
    names = f"name={_attribute(document.name)} classname={_attribute(document.file or 'stdin')}"
    where = f"file={_attribute(document.file)} " if document.file else ""
    head = f'    <testcase {names} {where}line="{document.line}" time="0"'
    return f"{head}>\n{''.join(parts)}    </testcase>\n" if parts else f"{head}/>\n"


def _text(findings: list[Finding]) -> str:
    lines = [f"{f.file or 'stdin'}:{f.position.line}: {f.level}: {f.message}" for f in findings]
    return escape(_NO_XML.sub("�", "\n".join(lines)))


def _attribute(text: str) -> str:
    return quoteattr(_NO_XML.sub("�", text))
