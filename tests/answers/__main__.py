"""Prints ``docs/validation.md``: ``make generate`` writes it.

The first sentence of a rule's docstring says what it asks for; the comment in ``RULES`` says why.
The text is what ``validate`` returns for the rule's case, or what the API server says if it rejects
the case by itself; tests/e2e/test_answers.py compares both with a real API server.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from app.apis import cel
from app.apis.cel import CEL_RULES, CelRule
from app.validation import rules as lists
from app.validation.verdict import MAX_FAULTS
from app.values.meta import Object
from tests.answers.cases import LISTS, TOO_LARGE, AnswerCase, cases, rule_name
from webhook.review import MAX_WARNINGS

HEAD = f"""\
<!-- Generated from app/validation and tests/answers by "make generate". Do not edit. -->
# Validation rules, warnings, and how to fix them

A ModelBooster is rejected if it cannot work, or if a field would be ignored silently. All faults
are reported at once (at most {MAX_FAULTS}), in the format of the API server: the field, what is
wrong, and what would be right. kubectl prints warnings (at most {MAX_WARNINGS}); they do not
affect the result.

Each text below is one fault. kubectl prints `The ModelBooster "demo" is invalid: ` before it, and
prints several faults on separate lines. `model-booster validate FILE` needs no cluster; some of its
texts differ ([why](cli.md#where-validate-differs-from-kubectl-apply)).

An update is only rejected for new faults: a fault that the stored object already has does not block
it, but may be printed as a warning. Labels, annotations, finalizers and status can always be
written. An object that is being deleted is not validated.

## Who checks what

| | rejected by | without the webhook |
|---|---|---|
| types, ranges, patterns, [rules of the definition](#rules-of-the-definition) | the API server | \
the API server |
| all other rules | the webhook | the controller: `Failed`, reason `ValidationFailed`, every fault |
| names that an older ModelBooster has | the webhook | the controller: the same |
| names of existing objects | the webhook | the controller: reason `ChildNameConflict` |
| warnings | the webhook returns them | `model-booster validate` prints them |

If the controller rejects a ModelBooster, it changes nothing: running children keep running, and
objects of other owners are never touched. Faults of the first row hide the others until they are
fixed, because the API server does not call the webhook for an object that fails its own checks.

Each example below shows only the relevant part of an otherwise valid ModelBooster.
"""

REFUSED = """
## Rejected
"""

SIZE = f"""
### Size

#### {TOO_LARGE.rule}

The children of a ModelBooster can be many times larger than the ModelBooster, and the API server
stores objects of about 1.5 MB at most.

**Fix:** {TOO_LARGE.fix}

```
{TOO_LARGE.said()[0]}
```
"""

WARNED = """
## Warnings
"""

EDITED = """
## Updates

Every update is carried out. These updates print a warning about their effect.
"""

DEFINITION = """
## Rules of the definition

The API server checks these rules itself, with or without the webhook. Kubernetes 1.34 prints the
type of the value before the text, `"object"` or `"string"`; other releases may print the value.

| | field | message |
|---|---|---|
"""


def page() -> Iterator[str]:
    """Yields the page, piece by piece."""
    yield HEAD
    yield REFUSED
    told = {case.rule: case for name in LISTS for case in cases(name)}
    for heading, rule, why in commented_rules():
        if heading:
            yield f"\n### {heading}\n"
        yield entry(rule, told[rule_name(rule)], sentence(why))
    yield SIZE
    yield WARNED
    for advice in lists.ADVICE:
        yield entry(advice, told[rule_name(advice)])
    yield EDITED
    for change in lists.UPDATE_ADVICE:
        yield entry(change, told[rule_name(change)])
    yield DEFINITION
    for held in CEL_RULES:
        yield f"| {cel_name(held)} | `{place(held)}` | {held.message} |\n"


def commented_rules() -> Iterator[tuple[str, Callable[..., Any], str]]:
    """Yields each rule with the heading above it, if any, and its comment."""
    source = inspect.getsource(lists)
    block = source[source.index("\nRULES:") :].partition("\n)\n")[0]
    by_name = {rule_name(rule): rule for rule in lists.RULES}
    heading = ""
    for line in block.splitlines():
        if match := re.fullmatch(r"    # ([^.:]+)[.:].*", line):
            heading = match[1]
        elif match := re.fullmatch(r"    (\w+\.\w+),(?:  # (.*))?", line):
            yield heading, by_name.pop(match[1]), match[2] or ""
            heading = ""
    if by_name:
        raise AssertionError(f"not in the source as expected: {', '.join(by_name)}")


def entry(rule: Callable[..., Any], case: AnswerCase, why: str = "") -> str:
    """Returns what the page says of one rule."""
    doc = inspect.getdoc(rule) or ""
    says = re.sub(r"``", "`", " ".join(doc.partition("\n\n")[0].split()))
    title = rule.__name__.replace("_", " ")
    if rule in lists.ADMISSION_ONLY:
        why = f"{why} The controller does not check this, so stored objects go on being served."
    text = wrapped(f"{says} {why}") + "\n\n" + wrapped(f"**Fix:** {case.fix}")
    there = "".join(f"Existing object:\n\n{block(obj)}\n" for obj in case.beside)
    before = "" if case.before is None else f"From\n\n{block(case.before)}\nto\n\n"
    if case.reading:
        there = "While the webhook is starting:\n\n"
    if case.rule == "advice.autoscaler_finds_pods":
        there = f"With kthena {case.release}:\n\n"
    said = case.refusal if case.is_by_definition else "\n".join(case.said())
    return f"\n#### {title}\n\n{text}\n\n{there}{before}{block(case.written)}\n```\n{said}\n```\n"


def block(part: Object) -> str:
    """Returns a part of an object as YAML."""
    text = yaml.safe_dump(
        part or {"metadata": {"name": "demo"}},
        sort_keys=False,
        default_flow_style=None,
        width=100,
        allow_unicode=True,
    )
    return f"```yaml\n{text}```\n"


def sentence(text: str) -> str:
    """Returns a comment as a sentence."""
    return f"{text[0].upper()}{text[1:]}." if text else ""


def wrapped(text: str) -> str:
    """Returns a paragraph in lines that an editor shows whole."""
    return textwrap.fill(text.strip(), 120, break_long_words=False, break_on_hyphens=False)


def cel_name(rule: CelRule) -> str:
    """Returns what the code calls a rule of the definition."""
    return next(name for name, value in vars(cel).items() if value is rule)


def place(rule: CelRule) -> str:
    """Returns which field such a rule complains about."""
    return f"{rule.at}.{rule.field}" if rule.field else rule.at


def main() -> None:
    """Prints the page, or writes it to the file that is named."""
    text = "".join(page())
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
