"""Makes archive and manifest of the krew plugin: ``python -m tools.krew FOLDER HOMEPAGE``.

The program is written in Python and has compiled dependencies, so the archive has a small script
that runs it; see ``deploy/krew/kubectl-model_booster``. A release publishes the archive; the
manifest goes to the index of krew plugins. HOMEPAGE is the address of the repository on GitHub.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
from pathlib import Path

import yaml

from app.version import VERSION

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "deploy/krew/kubectl-model_booster"
ARCHIVE = "kubectl-model-booster.tar.gz"
DESCRIPTION = """\
Serves language models on Kubernetes with kthena, each from one ModelBooster object: creates a
ModelBooster of a model's name or of a vLLM or SGLang command, shows how it is doing and why it does
not serve, and checks files without a cluster. Needs Python 3.11 with the package model-booster, or
uv, or pipx.
"""


def archive() -> bytes:
    """Returns the archive; the same bytes for the same version."""
    files = {
        SCRIPT.name: SCRIPT.read_text().replace("@VERSION@", VERSION).encode(),
        "LICENSE": (ROOT / "LICENSE").read_bytes(),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755 if name == SCRIPT.name else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def manifest(packed: bytes, homepage: str) -> str:
    """Returns the manifest of an archive, as YAML.

    Args:
        packed: the content of the archive.
        homepage: address of the repository, whose releases have the archive.
    """
    version = f"v{VERSION}"
    platforms = [
        {
            "selector": {
                "matchExpressions": [
                    {"key": "os", "operator": "In", "values": ["darwin", "linux"]},
                ]
            },
            "uri": f"{homepage}/releases/download/{version}/{ARCHIVE}",
            "sha256": hashlib.sha256(packed).hexdigest(),
            "bin": SCRIPT.name,
            "files": [{"from": SCRIPT.name, "to": "."}, {"from": "LICENSE", "to": "."}],
        }
    ]
    document = {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "model-booster"},
        "spec": {
            "version": version,
            "homepage": homepage,
            "shortDescription": "Serve language models with kthena",
            "description": DESCRIPTION,
            "platforms": platforms,
        },
    }
    return yaml.safe_dump(document, sort_keys=False, width=100)


def main() -> None:
    """Writes archive and manifest into the folder that the command line names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    packed = archive()
    (folder / ARCHIVE).write_bytes(packed)
    (folder / "model-booster.yaml").write_text(manifest(packed, sys.argv[2]))
    print(f"{folder / ARCHIVE} {folder / 'model-booster.yaml'}")


if __name__ == "__main__":
    main()
