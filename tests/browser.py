"""A real headless browser, and the dashboard as a process, for tests of the page."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import BrowserContext, Page, async_playwright
from playwright.sync_api import sync_playwright

from tests.forked_program import PROGRAM

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

_URL = re.compile(r"http://127\.0\.0\.1:\d+/")


@contextmanager
def dashboard(kubeconfig: Path, *args: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Runs ``model-booster dashboard`` on a free port; yields its URL and its process."""
    process = subprocess.Popen(
        [PROGRAM, "dashboard", "--port", "0", *args],
        env={"KUBECONFIG": str(kubeconfig), "PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = ""
        while (found := _URL.search(said)) is None:
            line = process.stdout.readline()
            assert line, f"the dashboard ended: {said}"
            said += line
        yield found[0], process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@dataclass
class Seen:
    """What happened in a page besides what it shows."""

    requests: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find() -> str | None:
    """Returns the path of a browser: one of the system, or the one that playwright downloads."""
    if system := next(filter(None, map(shutil.which, PROGRAMS)), None):
        return system
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def prepare() -> None:
    """Installs a browser if there is none: Debian's as root, else playwright's own."""
    if find() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        install = ["apt-get", "install", "-qq", "--no-install-recommends", "chromium"]
        subprocess.run(install, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=True)
    if find() is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


@asynccontextmanager
async def browser() -> AsyncIterator[BrowserContext]:
    """A browser without any state."""
    program = await asyncio.to_thread(find)
    assert program, 'install a browser for this test: "make browser", or apt-get install chromium'
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        context = await started.new_context(
            viewport={"width": 1280, "height": 800}, color_scheme="light"
        )
        try:
            yield context
        finally:
            await started.close()


async def opened(context: BrowserContext, url: str) -> tuple[Page, Seen]:
    """Opens a page, and notes its requests and whatever a browser complains of."""
    page, seen = await context.new_page(), Seen()
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on(
        "console",
        lambda message: seen.problems.append(message.text) if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: seen.problems.append(str(error)))
    page.on("dialog", lambda dialog: seen.problems.append(f"dialog: {dialog.message}"))
    await page.goto(url)
    return page, seen


if __name__ == "__main__":
    prepare()
