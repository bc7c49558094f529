"""Measures the downloader against curl and the Hub's own clients, its memory, and a second start.

All fetch the same random bytes from one local server, which sends them with sendfile. Rounds
alternate, and the best of each counts. Processor time of the client is told too, because it depends
less on what else the machine does. curl does not verify, so two figures are printed for it: by
itself, and followed by sha256sum, which gives what the downloader gives: verified files.

The server sends once as fast as it can, so that the processors are the limit, and once as a link
of 1 Gbit/s does, which is what a download of a cluster has at most, as a rule, and of 5 Gbit/s.

Where the processors are the limit, a client that verifies has a floor: server, curl and SHA-256
each need some processor time per byte, and all processors together cannot be faster than that.

    python -m bench.downloads [--files 4] [--megabytes 1024] [--rounds 3] [--json FILE]

Files are in /dev/shm, so that no disk is measured, and take 8 GB there; TMPDIR names another
folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench._conclusion import concluded
from bench._files import COMMIT, NAME, digest
from bench._processes import whole_cpu_seconds

MIN_OF_CURL = 0.9
"""Least speed, relative to curl, which does not verify files."""

MIN_ON_LINK = 0.9
"""Least speed on a link, relative to each other client. The other clients do not verify files."""

LINKS = {1: 256, 5: 1024}
"""Speed of each link in Gbit/s, and most megabytes of each file there: about 8 s for four."""

CLIENTS = ("snapshot_download", "hf download")
"""The Hub's own: its function, and its command."""

MIN_OF_CLIENT = 1.0
"""Least speed, as a part of that of each of the Hub's clients."""

MAX_MEMORY = 200 << 20
MAX_SECOND_START = 0.5
SHARDS_THERE = 24
"""Complete 4 GB files in the run that measures memory: with the one that is fetched, 100 GB."""

WORKERS = "8"


def main() -> int:
    """Measures; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--megabytes", type=int, default=1024, help="of each file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
    with TemporaryDirectory(dir=os.environ.get("TMPDIR") or memory) as name:
        folder = Path(name)
        speed = _speed(folder, given.files, given.megabytes, given.rounds)
        on_links = {
            f"{gigabits} Gbit/s": _speed(
                folder, given.files, min(given.megabytes, most), min(given.rounds, 2), gigabits
            )
            for gigabits, most in LINKS.items()
        }
        found = {
            "speed": speed,
            "speed on a link": on_links,
            "second start": _second_start(folder),
            "memory": _memory(folder),
        }
    faults = []
    if speed["of curl"] < MIN_OF_CURL:
        faults.append(
            f"{speed['of curl']:.2f} of the speed of curl; the floor of a client that verifies is "
            f"{speed['floor']['of curl']:.2f}, and ours {speed['floor']['ours']:.2f} of that"
        )
    for name in CLIENTS:
        if speed[f"of {name}"] < MIN_OF_CLIENT:
            faults.append(f"{speed[f'of {name}']:.2f} of the speed of {name}")
    for link, figures in on_links.items():
        for name in ("curl", *CLIENTS):
            if figures[f"of {name}"] < MIN_ON_LINK:
                faults.append(f"{figures[f'of {name}']:.2f} of the speed of {name} at {link}")
    if found["second start"]["seconds"] > MAX_SECOND_START:
        faults.append(f"a second start of {found['second start']['seconds']:.2f} s")
    for name, figures in (("speed", speed), ("memory", found["memory"])):
        if figures["bytes of memory"] > MAX_MEMORY:
            faults.append(f"{figures['bytes of memory'] >> 20} MiB of memory ({name})")
    return concluded(found, faults, given.json)


@contextmanager
def _served(folder: Path, rate: int = 0) -> Iterator[tuple[str, int]]:
    """Runs the server; yields its address and its process."""
    command = [sys.executable, "-m", "bench._files", str(folder), str(rate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}", server.pid
        finally:
            server.kill()


def _processor_seconds() -> float:
    """Returns the processor time of all processes that have ended; the server has not."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _hash_seconds() -> float:
    """Returns the processor time of SHA-256 for a byte, with all processors at work."""
    pieces = 512
    data = os.urandom(1 << 20)

    def seconds(_: int) -> float:
        hashed, began = hashlib.sha256(), time.thread_time()
        for _ in range(pieces):
            hashed.update(data)
        return time.thread_time() - began

    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(seconds, range(threads))) / (threads * pieces * len(data))


def _floor(size: int, server: float, curl: float, best: dict[str, float]) -> dict[str, float]:
    """Returns how fast a client that verifies and receives like curl can be, and prints it.

    Args:
        size: bytes of all files.
        server: processor time of the server while curl fetches them.
        curl: that of curl.
        best: the seconds of each client.
    """
    parts = {"server": server, "curl": curl, "SHA-256": _hash_seconds() * size}
    seconds = sum(parts.values()) / (os.cpu_count() or 1)
    found = {"of curl": best["curl"] / seconds, "ours": seconds / best["ours"]}
    costs = ", ".join(f"{name} {part / size * 1e9:.2f}" for name, part in parts.items())
    print(f"floor of a client that verifies: {size / seconds / 1e6:.0f} MB/s ({costs} s per GB)")
    print(f"{found['of curl']:.2f} of the speed of curl; ours is {found['ours']:.2f} of the floor")
    return found


def _environment(url: str) -> dict[str, str]:
    # The command would look for a newer version of itself.
    settings = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1", "NO_PROXY": "*"}
    return {**os.environ, **settings, "HF_ENDPOINT": url}


def _ours(url: str, target: Path) -> tuple[float, int]:
    """Downloads, and returns the seconds and the most bytes of memory."""
    command = [sys.executable, "-m", "downloader", "-w", WORKERS]
    command += ["-s", f"hf://{NAME}", "-o", str(target)]
    began = time.monotonic()
    process = subprocess.Popen(
        command, env=_environment(url), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return time.monotonic() - began, usage.ru_maxrss << 10


def _speed(
    folder: Path, files: int, megabytes: int, rounds: int, gigabits: int = 0
) -> dict[str, Any]:
    source = folder / "source"
    source.mkdir()
    names = [f"model-{number:05}.safetensors" for number in range(files)]
    for name in names:
        with (source / name).open("wb") as file:
            for _ in range(megabytes):
                file.write(os.urandom(1 << 20))
        digest(source / name)  # else the server computes it while the first client waits
    target = folder / "target"
    memory = 0

    def curl() -> None:
        urls = [f"{url}/{NAME}/resolve/{COMMIT}/{name}" for name in names]
        pairs = [part for u, n in zip(urls, names, strict=True) for part in ("-o", target / n, u)]
        command = ["curl", "-sS", "--fail", "--create-dirs", "--parallel", "--parallel-max"]
        subprocess.run([*command, WORKERS, *pairs], check=True, stderr=subprocess.DEVNULL)

    def verified_curl() -> None:
        curl()
        command = ["xargs", "-P", str(os.cpu_count()), "-n", "1", "sha256sum"]
        paths = "\n".join(str(target / name) for name in names)
        subprocess.run(command, check=True, input=paths, text=True, stdout=subprocess.DEVNULL)

    def function() -> None:
        program = (
            "import sys; from huggingface_hub import snapshot_download; "
            "snapshot_download(sys.argv[1], local_dir=sys.argv[2], max_workers=int(sys.argv[3]))"
        )
        client("-c", program, NAME, str(target), WORKERS)

    def command() -> None:  # what the script hf calls
        arguments = ("download", NAME, "--local-dir", str(target), "--max-workers", WORKERS)
        client("-m", "huggingface_hub.cli.hf", *arguments)

    def client(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, *arguments],
            check=True,
            env=_environment(url),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ours() -> None:
        nonlocal memory
        memory = max(memory, _ours(url, target)[1])

    runs: dict[str, Callable[[], None]] = {
        "curl": curl,
        "curl and sha256sum": verified_curl,
        **dict(zip(CLIENTS, (function, command), strict=True)),
        "ours": ours,
    }
    best, processor, of_server = (dict.fromkeys(runs, float("inf")) for _ in range(3))
    with _served(source, gigabits * 10**9 // 8) as (url, server):
        for _ in range(rounds):
            for name, run in runs.items():
                began, used, sent = (
                    time.monotonic(),
                    _processor_seconds(),
                    whole_cpu_seconds(server),
                )
                run()
                best[name] = min(best[name], time.monotonic() - began)
                processor[name] = min(processor[name], _processor_seconds() - used)
                of_server[name] = min(of_server[name], whole_cpu_seconds(server) - sent)
                assert all((target / each).stat().st_size == megabytes << 20 for each in names)
                shutil.rmtree(target)
                shutil.rmtree(folder / ".model-booster", ignore_errors=True)
    size = files * megabytes << 20
    print(f"on a link of {gigabits} Gbit/s:" if gigabits else "as fast as it goes:")
    for name, seconds in best.items():
        print(f"{name:20} {size / seconds / 1e6:7.0f} MB/s, ", end="")
        print(f"{processor[name] / size * 1e9:.2f} s of processor time per GB")
    found: dict[str, Any] = {"bytes of memory": memory, "processor seconds": processor}
    for name in ("curl", "curl and sha256sum", *CLIENTS):
        found[f"of {name}"] = best[name] / best["ours"]
        print(f"{found[f'of {name}']:.2f} of the speed of {name}")
    if not gigabits:
        found["floor"] = _floor(size, of_server["curl"], processor["curl"], best)
    print(f"memory: {memory / (1 << 20):.0f} MiB")
    shutil.rmtree(source)
    return found


def _second_start(folder: Path) -> dict[str, Any]:
    source, target = folder / "many", folder / "whole"
    source.mkdir()
    for number in range(500):
        (source / f"file-{number}").write_bytes(os.urandom(1000))
    with _served(source) as (url, _):
        _ours(url, target)
    seconds = min(_ours(url, target)[0] for _ in range(5))  # the server is gone
    print(f"second start with 500 files, without the server: {seconds:.2f} s")
    return {"seconds": seconds}


def _memory(folder: Path) -> dict[str, Any]:
    """Fetches the last 4 GB of a model of 100 GB; all files are sparse at the server."""
    from downloader.paths import place_of
    from downloader.sources.base import Listing, RemoteFile
    from downloader.transfer.journal import Journal, Known

    source, target = folder / "sparse", folder / "large"
    source.mkdir()
    size = 4 << 30
    files = []
    digest = ""
    for number in range(SHARDS_THERE + 1):
        path = source / f"model-{number:05}.safetensors"
        with path.open("wb") as file:
            file.truncate(size)
        if not digest:
            digest = subprocess.run(
                ["sha256sum", str(path)], check=True, capture_output=True, text=True
            ).stdout.split()[0]
        path.with_name(f".{path.name}.sha256").write_text(digest)
        files.append(RemoteFile(path.name, size, f"sha256:{digest}"))
    place = place_of(str(target))
    os.makedirs(place.staging)
    journal = Journal(f"{place.work}/journal", Listing(COMMIT, tuple(files)), Known())
    for done in files[:-1]:
        with open(f"{place.staging}/{done.path}", "wb") as file:
            file.truncate(size)
        journal.completed(done)
    journal.close()
    with _served(source) as (url, _):
        seconds, memory = _ours(url, target)
    told = json.loads((target / ".model-booster.json").read_text())
    print(f"{told['bytes'] / 1e9:.0f} GB, of which 4 were fetched in {seconds:.0f} s: ", end="")
    print(f"{memory / (1 << 20):.0f} MiB of memory")
    shutil.rmtree(target)
    return {"bytes of memory": memory, "bytes": told["bytes"]}


if __name__ == "__main__":
    sys.exit(main())
