"""Records what a version of the operator makes of all golden inputs.

    python -m tests.upgrade.record [COMMIT]

It renders the inputs of that commit with the code of that commit, in a temporary worktree, and
writes ``children.json.gz`` to this folder, and beside it the program and the chart of that commit.
Without a commit, that of the present file is used again.
"""

from __future__ import annotations

import gzip
import json
import lzma
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.upgrade.earlier import CHART, FILE, LOCK, OPERATOR, PACKAGES, recorded

ROOT = Path(__file__).parents[2]

RENDER = """\
import json
from app.apis.kinds import Profile
from app.apis.modelbooster import ModelBooster
from app.convert import desired_children
from app.convert.options import Options
from app.model.canonical import canonical
from tests.golden import cases

found = {}
for number, case in enumerate(cases.CASES):
    booster = cases.booster(case)
    name = f"u{number:02}"
    booster["metadata"] = {"name": name, "namespace": "THE-NAMESPACE", "uid": "THE-UID"}
    if "name" in booster["spec"]:
        booster["spec"]["name"] = name + "-" + booster["spec"]["name"]
    model = canonical(ModelBooster.model_validate(booster))
    children = {}
    for profile in Profile:
        children[profile.value] = [
            [child.object, child.replica_bounds is not None]
            for child in desired_children(model, profile, Options())
        ]
    found[case] = {"booster": booster, "children": children}
print(json.dumps(found))
"""


def render(commit: str) -> str:
    """Returns the JSON that the code of a commit prints."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ("git", "-C", str(ROOT), "worktree")
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            command = [sys.executable, "-c", RENDER]
            return subprocess.run(
                command, cwd=tree, check=True, text=True, capture_output=True
            ).stdout
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def operator(commit: str) -> bytes:
    """Returns an archive of what an installation of a commit needs."""
    command = ["git", "-C", str(ROOT), "archive", commit, CHART, LOCK, *PACKAGES]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    return lzma.compress(archive, preset=9 | lzma.PRESET_EXTREME)


def main() -> None:
    """Writes the files."""
    commit = sys.argv[1] if len(sys.argv) > 1 else str(recorded()["commit"])
    content = {"commit": commit, "cases": json.loads(render(commit))}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    FILE.write_bytes(gzip.compress(text.encode(), mtime=0))
    OPERATOR.write_bytes(operator(commit))


if __name__ == "__main__":
    main()
