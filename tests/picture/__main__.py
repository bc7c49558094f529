"""Makes the picture: ``python -m tests.picture`` or ``make dashboard-picture``, 3 minutes."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVING
from tests.browser import browser
from tests.builders import booster_object
from tests.controlplane import crds
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane
from tests.dashboard import ROWS
from tests.e2e.installation import Installation
from tests.picture.plot import Results, page
from tests.picture.server import Prometheus
from tests.world import Admin

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "grafana.png"
RECORD_SECONDS = 150
WORK_SECONDS = 3
SUBTITLE = (
    "The queries of the Grafana dashboard, answered by a Prometheus that scraped one webhook and "
    "two controllers at work. Drawn without Grafana."
)


def work(admin: Admin, number: int) -> None:
    """What users and others do in one step: create, serve, edit, change a child, err."""
    name = f"m{number}"
    admin.create(MODEL_BOOSTER, booster_object(name, namespace=admin.namespace))
    admin.until(MODEL_ROUTE, name)
    admin.serve(MODEL_SERVING, f"{name}-b1", "Progressing")
    if number % 5:
        admin.serve(MODEL_SERVING, f"{name}-b1")
    if number % 3 == 1:
        admin.patch(MODEL_ROUTE, name, {"spec": {"rules": []}})
    if number % 4 == 2:
        wrong = booster_object(f"{name}-wrong", namespace=admin.namespace)
        wrong["spec"]["backends"][0]["workers"][0]["config"] = {"no-such-flag": True}
        try:
            admin.create(MODEL_BOOSTER, wrong)
        except Refused as exc:
            print(f"rejected, as wanted: {str(exc)[:80]}")
    if number % 7 == 3:
        reserved = booster_object(f"{name}-reserved", namespace=admin.namespace)
        reserved["spec"]["backends"][0]["type"] = "MindIE"
        admin.create(MODEL_BOOSTER, reserved)
    if number % 6 == 5:
        admin.delete(MODEL_BOOSTER, f"m{number - 4}")


def measured(folder: Path, seconds: float) -> Results:
    """Lets an installation work for some time; returns what the queries say about it."""
    with ControlPlane() as plane:
        crds.install(plane.api, crds.children("B"))
        plane.start_controllers()
        with (
            Installation(plane, plane.folder / "pods") as installation,
            Prometheus(installation, folder / "prometheus") as server,
        ):
            start = time.time()
            for number in range(int(seconds / WORK_SECONDS)):
                work(Admin(plane.api, "default"), number)
                time.sleep(max(0.0, start + (number + 1) * WORK_SECONDS - time.time()))
            end = time.time()
            return {
                (row, panel.title): [
                    line
                    for query, legend in panel.queries
                    for line in server.lines(query, legend, start, end)
                ]
                for row, panels in ROWS.items()
                for panel in panels
            }


async def draw(text: str, picture: Path) -> None:
    """Lets a browser show a page, and takes a picture of all of it."""
    async with browser() as context:
        shown = await context.new_page()
        await shown.set_content(text)
        await shown.screenshot(path=picture, full_page=True)


def main() -> None:
    """Makes the picture of the documentation, or the file that the command line names."""
    picture = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    with tempfile.TemporaryDirectory() as folder:
        results = measured(Path(folder), RECORD_SECONDS)
    asyncio.run(draw(page(results, RECORD_SECONDS, SUBTITLE), picture))
    print(picture)


if __name__ == "__main__":
    main()
