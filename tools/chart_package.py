"""Packages the chart: ``python -m tools.chart_package FOLDER HOMEPAGE [IMAGE DOWNLOADER]``.

The chart of a checkout has a placeholder for the address of the project, and names no registry. The
package has HOMEPAGE, the address of the repository, wherever the placeholder is. With IMAGE
(``REGISTRY/REPOSITORY@sha256:...``) and DOWNLOADER (the same, also with a tag) it runs the images
that were published. It needs helm, and of Python only the standard library: a release installs
nothing where it can sign.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHART = Path(__file__).parents[1] / "charts" / "model-booster"
PLACEHOLDER = "https://model-booster.example.com"


def described(text: str, homepage: str, image: str = "") -> str:
    """Returns Chart.yaml with the address of the project, and the published image if given."""
    (version,) = re.findall(r"(?m)^version: (.+)$", text)
    text = text.replace(f"{PLACEHOLDER}/docs/", f"{homepage}/blob/v{version}/docs/")
    text = text.replace(f"{PLACEHOLDER}/source", homepage).replace(PLACEHOLDER, homepage)
    return text.replace(f"image: model-booster:{version}", f"image: {image}") if image else text


def with_images(text: str, image: str, downloader: str) -> str:
    """Returns values.yaml with these images as defaults, and with its comments."""
    name, _, digest = image.partition("@")
    registry, _, repository = name.partition("/")
    defaults = {"registry": registry, "repository": repository, "digest": digest}
    text = _with_defaults(text, "image", defaults)
    return _with_defaults(text, "kthena", {"downloaderImage": downloader})


def _with_defaults(text: str, section: str, defaults: dict[str, str]) -> str:
    before, heading, block = text.partition(f"\n{section}:\n")
    for field, value in defaults.items():
        block, found = re.subn(rf"(?m)^  {field}: .*$", f"  {field}: {value}", block, count=1)
        if not found:
            raise SystemExit(f"values.yaml has no {section}.{field}")
    return before + heading + block


def package(folder: Path, homepage: str, image: str = "", downloader: str = "") -> None:
    """Writes ``model-booster-VERSION.tgz`` into a folder, by the helm on PATH."""
    with tempfile.TemporaryDirectory() as temporary:
        chart = Path(shutil.copytree(CHART, Path(temporary, CHART.name)))
        about, values = chart / "Chart.yaml", chart / "values.yaml"
        about.write_text(described(about.read_text(), homepage, image))
        if image:
            values.write_text(with_images(values.read_text(), image, downloader))
        helm = shutil.which("helm")
        if helm is None:
            raise SystemExit("helm is not on PATH; it packages the chart")
        subprocess.run([helm, "package", chart, "--destination", folder], check=True)


def main() -> None:
    """Packages as the command line says."""
    arguments = sys.argv[1:]
    if len(arguments) not in {2, 4}:
        raise SystemExit("usage: python -m tools.chart_package FOLDER HOMEPAGE [IMAGE DOWNLOADER]")
    if not arguments[1].startswith("https://"):
        raise SystemExit(f"HOMEPAGE must be https://..., not {arguments[1]!r}")
    package(Path(arguments[0]), *arguments[1:])


if __name__ == "__main__":
    main()
