"""The whole operator on real pods: ``python -m tests.pods [COMMAND]`` (`make e2e`).

run              make the cluster and the image, run all steps, and end the cluster (the default)
prepare          find or build the programs of the cluster and the clients, nothing else
packages         print the Debian packages that are missing here
inside FOLDER    run the steps; written by "run", for the namespaces of its cluster
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from app.convert.options import DOWNLOADER_IMAGE
from tests.controlplane import binaries, cache, clients
from tests.controlplane.packages import Unobtainable
from tests.pods import image, machine
from tests.pods.cluster import RealCluster
from tests.pods.machine import Unfit
from tests.pods.run import run
from tests.pods.steps.installation import PREVIOUS_TAG, REGISTRY

IMAGE = f"{REGISTRY}/model-booster"
EVIDENCE = Path("build/e2e").resolve()


def main(arguments: list[str]) -> int:
    """Runs one command; returns the exit code."""
    command, *rest = arguments or ["run"]
    try:
        match command:
            case "run":
                return _run()
            case "prepare":
                machine.check()
                _programs()
            case "packages":
                print(*machine.packages(), sep="\n")
            case "inside":
                return run(Path(rest[0]), EVIDENCE)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except (Unfit, Unobtainable) as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


def _programs() -> Path:
    clients.helm(4)
    clients.helm(3)
    return binaries.node_programs()


def _tag() -> str:
    """Returns the tag of the image that the chart asks for."""
    chart = yaml.safe_load((image.ROOT / "charts/model-booster/Chart.yaml").read_text())
    return str(chart["appVersion"])


def _run() -> int:
    begin = time.monotonic()
    machine.check()
    programs = _programs()
    previous = image.previous(f"{IMAGE}:{PREVIOUS_TAG}")
    folder = Path(tempfile.mkdtemp(prefix="pods."))
    try:
        archive, downloader = folder / "image.tar", folder / "downloader.tar"
        with ThreadPoolExecutor(1) as pool:
            built = [
                pool.submit(image.build, f"{IMAGE}:{_tag()}", archive),
                pool.submit(
                    image.build, f"{REGISTRY}/{DOWNLOADER_IMAGE}", downloader, "downloader"
                ),
            ]
            with RealCluster(programs, folder / "cluster") as cluster:
                cache.say(f"the node is ready after {time.monotonic() - begin:.1f} s")
                for image_built in built:
                    image_built.result()
                for each in (archive, previous, downloader):
                    cluster.load(each)
                cache.say(f"the images are loaded after {time.monotonic() - begin:.1f} s")
                inside = (sys.executable, "-m", "tests.pods", "inside", cluster.folder)
                return cluster.execute(*inside)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
