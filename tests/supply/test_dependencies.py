"""What the image may contain: pinned by hash, each with a reason, nothing unneeded."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.txt").read_text()


def locked() -> dict[str, str]:
    """Returns the rest of the entry of each package in the lock file of the image, by name."""
    found: dict[str, str] = {}
    for entry in re.split(r"(?m)^(?=[a-zA-Z0-9])", LOCK)[1:]:
        requirement, _, rest = entry.partition(" \\\n")
        found[canonicalize_name(Requirement(requirement).name)] = rest
    return found


def test_every_dependency_has_a_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra, more in project["optional-dependencies"].items():
        if extra != "dev":
            lines += more
    wanted = {canonicalize_name(Requirement(line).name) for line in lines}
    text = (ROOT / "docs/architecture.md").read_text()
    section = text.partition("\n## Dependencies\n")[2].partition("\n## ")[0]
    rows = re.findall(r"(?m)^\| ([^|]+) \| [^|]+ \|$", section)
    named = {canonicalize_name(name.strip()) for row in rows for name in row.split(",")}
    assert named - {"package"} == wanted


def test_every_package_is_pinned_by_its_hashes() -> None:
    assert len(locked()) > 20
    for name, rest in locked().items():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", rest), name
    assert "pip" not in (ROOT / "Dockerfile").read_text()
    steps = (ROOT / "tools/image/environment.sh").read_text()
    installs = re.findall(r"pip (?:install|wheel) .+", steps)
    assert len(installs) == 4
    for install in installs:
        # Our own code is the one thing without a hash; it may not bring anything along.
        assert "--no-deps" in install
        ours = '"$work/src"' in install or "model_booster-*.whl" in install
        assert "--require-hashes" in install or ours


def test_the_image_has_no_parser_that_it_does_not_need() -> None:
    """No forms, no HTTP/2, no templates, no XML: each is a way in that nothing of ours uses."""
    unwanted = {"python-multipart", "multipart", "h2", "hpack", "jinja2", "lxml", "defusedxml"}
    assert not unwanted & locked().keys()


def test_admission_loads_no_yaml_and_starts_no_programs() -> None:
    program = "import sys, webhook.server, webhook.review; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, text=True, capture_output=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "webhook.server" in loaded
    unwanted = {"yaml", "multipart", "h2", "jinja2", "kubernetes_asyncio", "xml.etree.ElementTree"}
    assert not unwanted & loaded
