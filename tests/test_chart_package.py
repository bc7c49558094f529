"""A package of the chart names the project and the image that were published."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from app.values.meta import Object
from app.version import VERSION
from tests.chart import CHART, container, helm, of_kind
from tests.controlplane import clients
from tools.chart_package import PLACEHOLDER

ROOT = Path(__file__).parents[1]
HOMEPAGE = "https://github.com/team/booster"
DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def package(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # -S: without packages, as in the job of a release.
    path = f"{clients.helm().parent}:{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-S", "-m", "tools.chart_package", *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "HOME": "/nonexistent"},
        text=True,
        capture_output=True,
        check=False,
    )


def shown(what: str, chart: Path) -> str:
    said = helm("show", what, str(chart))
    assert said.returncode == 0, said.stderr
    return said.stdout


def test_a_package_has_the_address_of_the_project(tmp_path: Path) -> None:
    published = f"ghcr.io/team/booster@{DIGEST}"
    downloader = f"ghcr.io/team/model-booster-downloader:1.0.0@{DIGEST}"
    done = package(tmp_path, HOMEPAGE, published, downloader)
    assert done.returncode == 0, done.stderr
    (chart,) = tmp_path.iterdir()
    text = shown("chart", chart)
    assert PLACEHOLDER not in text
    about: Object = yaml.safe_load(text)
    assert (about["home"], about["sources"]) == (HOMEPAGE, [HOMEPAGE])
    assert about["maintainers"][0]["url"] == HOMEPAGE
    page = f"{HOMEPAGE}/blob/v{VERSION}/docs/install.md"
    annotations = about["annotations"]
    assert yaml.safe_load(annotations["artifacthub.io/links"])[0]["url"] == page
    assert yaml.safe_load(annotations["artifacthub.io/images"])[0]["image"] == published

    said = helm("template", str(chart))
    assert said.returncode == 0, said.stderr
    objects = [*yaml.load_all(said.stdout, Loader=yaml.CSafeLoader)]
    images = {container(deployment)["image"] for deployment in of_kind(objects, "Deployment")}
    assert images == {published}
    (controller,) = (
        container(deployment)
        for deployment in of_kind(objects, "Deployment")
        if deployment["metadata"]["name"].endswith("controller")
    )
    assert {"name": "MODELBOOSTER_DOWNLOADER_IMAGE", "value": downloader} in controller["env"]
    assert "# -- Registry of the image." in shown("values", chart)


def test_a_package_without_an_image_has_the_defaults(tmp_path: Path) -> None:
    done = package(tmp_path, HOMEPAGE)
    assert done.returncode == 0, done.stderr
    (chart,) = tmp_path.iterdir()
    assert shown("values", chart).strip() == (CHART / "values.yaml").read_text().strip()


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    for arguments, said in (
        ((tmp_path,), "usage: "),
        ((tmp_path, HOMEPAGE, "ghcr.io/team/booster"), "usage: "),
        ((tmp_path, "team/booster"), "HOMEPAGE must be https://..., not 'team/booster'"),
    ):
        done = package(*arguments)
        assert (done.returncode, done.stderr.startswith(said)) == (1, True), done.stderr


def test_the_placeholder_is_in_one_file_only() -> None:
    """So a maintainer sets the address once, where the chart is packaged."""
    listed = subprocess.run(
        ["git", "grep", "-l", PLACEHOLDER], cwd=ROOT, text=True, capture_output=True, check=True
    )
    assert listed.stdout.split() == ["charts/model-booster/Chart.yaml", "tools/chart_package.py"]
