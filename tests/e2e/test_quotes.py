"""What the documents quote of kubectl and of the command line is what these print."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from app.values.meta import Object
from tests.builders import backend, booster_object
from tests.conftest import Kubectl
from tests.e2e.admission import apply
from tests.e2e.installation import ROOT, Installation

CLI = ROOT / "docs/cli.md"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
OBJECTS = {"qwen": booster_object("qwen", backend(minReplicas=5, maxReplicas=2))}
"""What the documents' refusals are about, by name."""

ORDER = "spec.backends[0].minReplicas: Invalid value"
RANGE = "spec.backends[0].routeWeight: Invalid value: 101"
IMAGE = "spec.backends[0].workers[0].image: Invalid value"


def quoted(page: Path, start: str) -> list[str]:
    return [
        line.strip() for line in page.read_text().splitlines() if line.strip().startswith(start)
    ]


REFUSALS = [
    pytest.param(line, id=f"{page.name} {number}")
    for page in PAGES
    for number, line in enumerate(quoted(page, 'The ModelBooster "'))
]


def validate(folder: Path, text: str, *options: str) -> str:
    (folder / "models.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "modelbooster", "validate", "models.yaml", *options],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 1)
    return done.stdout


def test_pages_of_both_kinds_quote_a_refusal() -> None:
    named = {page.name for page in PAGES if quoted(page, 'The ModelBooster "')}
    assert {"README.md", "cli.md"} <= named


@pytest.mark.parametrize("line", REFUSALS)
def test_quoted_refusals_match_kubectl(
    installation: Installation, kubectl: Kubectl, line: str
) -> None:
    name = re.match(r'The ModelBooster "([^"]+)"', line)
    assert name
    said = apply(kubectl, OBJECTS[name[1]])
    assert (said.stderr, said.code) == (f"{line}\n", 1)


def test_quoted_answers_match_validate(tmp_path: Path) -> None:
    first = yaml.safe_dump(booster_object("chat")).splitlines()
    # The second object begins in the line that the page names.
    padded = "\n".join([*first, *["#"] * (18 - len(first)), "---"])
    text = f"{padded}\n{yaml.safe_dump(OBJECTS['qwen'])}"
    assert validate(tmp_path, text).splitlines() == quoted(CLI, "models.yaml:")
    [*_, as_json] = validate(tmp_path, text, "-o", "json").splitlines()
    assert [as_json] == quoted(CLI, '{"name":"qwen"')


@pytest.mark.parametrize(
    ("written", "by_server", "by_validate"),
    [
        pytest.param(
            {"minReplicas": 3, "maxReplicas": 2},
            [ORDER],
            [ORDER, IMAGE],
            id="the definition comes before the webhook, and validate tells both",
        ),
        pytest.param(
            {"minReplicas": 3, "maxReplicas": 2, "routeWeight": 101},
            [RANGE, ORDER],
            [RANGE, ORDER, IMAGE],
            id="a value out of range hides nothing in validate, and other rules in kubectl",
        ),
    ],
)
def test_validate_differs_from_kubectl_as_documented(
    installation: Installation,
    kubectl: Kubectl,
    tmp_path: Path,
    written: Object,
    by_server: list[str],
    by_validate: list[str],
) -> None:
    one = backend(**written)
    one["workers"][0]["image"] = "a b"
    obj = booster_object("demo", one)
    told = apply(kubectl, obj).stderr, validate(tmp_path, yaml.safe_dump(obj))
    for text, wanted in zip(told, (by_server, by_validate), strict=True):
        assert [fault for fault in (ORDER, RANGE, IMAGE) if fault in text] == [
            fault for fault in (ORDER, RANGE, IMAGE) if fault in wanted
        ], text
