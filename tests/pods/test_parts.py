"""The parts of `make e2e` that need no cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pods.image import ROOT, settings_of
from tests.pods.stage import StepFailed
from tests.pods.step import Result, table
from tests.pods.steps import installation
from tests.pods.steps.disturbances import probe_seconds

DOCKERFILE = """\
ARG BASE=python:3
FROM ${BASE} AS first
ENV PATH=/opt/first/bin:$PATH A=1 \\
    HOME=/tmp
USER 7:7
ENTRYPOINT ["first"]

FROM ${BASE}
ENTRYPOINT ["second"]
CMD ["run"]
"""
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def test_settings_of_an_image_are_those_of_its_stage(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text(DOCKERFILE)
    assert settings_of(path) == {
        "Entrypoint": ["second"],
        "Cmd": ["run"],
        "Env": [f"PATH={SYSTEM}"],
    }
    assert settings_of(path, "first") == {
        "Entrypoint": ["first"],
        "User": "7:7",
        "Env": [f"PATH=/opt/first/bin:{SYSTEM}", "A=1", "HOME=/tmp"],
    }


@pytest.mark.parametrize("stage", ["", "downloader"])
def test_our_images_run_as_nobody_special(stage: str) -> None:
    assert settings_of(ROOT / "Dockerfile", stage)["User"] == "65532:65532"


@pytest.mark.parametrize(
    ("page", "heading", "said"),
    [
        ("README.md", "Install", installation.REGISTRY),
        ("README.md", "Your first ModelBooster", "kubectl wait"),
        ("docs/install.md", "Quick start", "helm test"),
    ],
)
def test_commands_are_read_from_the_page(page: str, heading: str, said: str) -> None:
    assert said in installation.commands(page, heading)


def test_missing_commands_are_reported() -> None:
    with pytest.raises(StepFailed, match=r'README.md has no commands below "Nothing"'):
        installation.commands("README.md", "Nothing")


def test_time_of_a_frozen_webhook_follows_the_chart() -> None:
    assert probe_seconds() == 12  # two probes of 2 s each, 2 s apart, and 4 s


def test_table_counts_admissions_and_losses() -> None:
    results = [
        Result("a", 1.25, 2.5, outcome="ok"),
        Result("under load", 2, 3, 40, 1, "lost"),
        Result("later"),
        Result("kthena", outcome="not given"),
    ]
    assert table(results).splitlines() == [
        "step        seconds   CPU s  admissions  lost",
        "a               1.2     2.5                    ok",
        "under load      2.0     3.0          40     1  lost",
        "later                                          not run",
        "kthena                                         not given",
        "all             3.2     5.5          40     1",
    ]
    assert [each.is_good for each in results] == [True, False, False, True]
