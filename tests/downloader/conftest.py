"""A hub, a cache folder, and the downloader as a process."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from downloader.paths import place_of
from downloader.progress.output import Output
from downloader.run import Run
from downloader.settings import CA_NAMES, MAX_BYTES, MAX_FILES, settings_of
from downloader.transfer import workers
from tests.downloader.hub import NAME, Hub

# Before the Hub's client is loaded: it would find a token of the developer.
os.environ["HF_TOKEN_PATH"] = "/no/token"

ROOT = Path(__file__).parents[2]
URI = f"hf://{NAME}"

_GENERATOR = random.Random(7)
FILES = {
    "config.json": b'{"model_type": "test"}',
    "empty.txt": b"",
    "model-00001.safetensors": _GENERATOR.randbytes(700_000),
    "model-00002.safetensors": _GENERATOR.randbytes(300_001),
    "tokenizer/vocab.json": _GENERATOR.randbytes(5_000),
}

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_INHERITED = ("PATH", "HOME", "TMPDIR", "LANG")


@dataclass(frozen=True)
class Result:
    """What a process of the downloader did."""

    code: int
    out: str
    err: str
    ended: dict[str, Any]
    """The termination message."""


@dataclass
class Downloader:
    """Runs the downloader as its own process, with a clean environment."""

    folder: Path

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        log = self.folder / "termination-log"
        log.touch()
        ours = {
            "PYTHONPATH": str(ROOT),
            "MODELBOOSTER_TERMINATION_LOG": str(log),
            "NO_PROXY": "*",
            "HF_TOKEN_PATH": "/no/token",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return {**kept, **ours, **(extra or {})}

    def start(
        self, *args: str | Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "downloader", *map(str, args)],
            env=self.environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *args: str | Path, env: Mapping[str, str] | None = None) -> Result:
        process = self.start(*args, env=env)
        out, err = process.communicate(timeout=100)
        assert "Traceback" not in err
        text = (self.folder / "termination-log").read_text()
        return Result(process.returncode, out, err, json.loads(text) if text else {})


@dataclass
class Here:
    """Runs the downloader in this process, which takes milliseconds."""

    hub: Hub
    cache: Path

    def __call__(
        self,
        source: str = URI,
        *,
        env: Mapping[str, str] | None = None,
        config: str | None = None,
        name: str = "m",
        workers: int = 4,
        refresh: bool = False,
        limits: tuple[int, int] = (MAX_FILES, MAX_BYTES),
    ) -> Path:
        """Downloads into a folder of the cache, and returns the folder."""
        given = {**self.hub.environment(), **(env or {})}
        settings = settings_of(source, workers, config, given, *limits)
        place = place_of(str(self.cache / name))
        Run(settings, place, Output(source, is_json=False), refresh=refresh).run()
        return Path(place.target)


@pytest.fixture
def here(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.setattr(workers, "FIRST_WAIT", 0.001)
    for name in (*PROXIES, *CA_NAMES, "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return Here(hub, cache)


@pytest.fixture
def downloader(tmp_path: Path) -> Downloader:
    return Downloader(tmp_path)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(dict(FILES)) as served:
        yield served


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.fixture
def fetch(downloader: Downloader, hub: Hub, cache: Path) -> Callable[..., Result]:
    """Downloads the hub's model into ``cache/m``."""

    def run(*args: str | Path, source: str = URI, env: Mapping[str, str] | None = None) -> Result:
        given = {**hub.environment(), **(env or {})}
        return downloader("--source", source, "--output-dir", cache / "m", *args, env=given)

    return run


def contents(folder: Path) -> dict[str, bytes]:
    """Returns the files of a model, without the manifest and its unfinished copies."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".model-booster.json")
    }
