"""Commands for a cache: ``list``, ``verify``, ``gc`` and ``prepare``."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from downloader.cache.cleanup import models_of, remove, verdicts
from downloader.cache.prepare import prepare
from downloader.cache.uses import Pods, pods_of
from downloader.manifest import faults, read_manifest
from downloader.sizes import size_text

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def run(args: Sequence[str]) -> int:
    """Runs a command, and returns the exit code.

    Args:
        args: its name and its arguments.
    """
    given = _parser().parse_args(args)
    try:
        if given.command == "list":
            return _list(given.cache)
        if given.command == "verify":
            return _verify(given.folder)
        if given.command == "prepare":
            prepare(given.folder, given.user)
            return 0
        return _gc(given)
    except OSError as exc:
        print(f"Error: {exc.filename}: {exc.strerror}", file=sys.stderr)
        return 1


def _list(cache: str) -> int:
    for model in models_of(cache):
        request, manifest = model.manifest.request, model.manifest
        used = datetime.fromtimestamp(model.last_use, UTC).strftime("%Y-%m-%dT%H:%MZ")
        revision = request.revision or "default"
        print(
            f"{model.folder}  {request.source}  {revision} ({manifest.commit[:12]})  "
            f"{size_text(manifest.size)}  used {used}"
        )
    return 0


def _verify(folder: str) -> int:
    manifest = read_manifest(folder)
    if manifest is None:
        print(f"Error: {folder} has no manifest: it is not whole", file=sys.stderr)
        return 1
    found = faults(folder, manifest.files, full=True)
    for fault in found:
        print(f"{folder}: {fault}")
    if not found:
        print(f"{folder} is whole: {len(manifest.files)} files, {size_text(manifest.size)}")
    return 1 if found else 0


def _gc(given: argparse.Namespace) -> int:
    if given.pods is None and given.unused_for is None:
        print(
            "Error: gc must know what running pods use; give it their list with --pods "
            "(kubectl get pods -A -o json), or a time with --unused-for",
            file=sys.stderr,
        )
        return 2
    pods = None
    if given.pods is not None:
        try:
            pods = _pods(given.pods)
        except (ValueError, KeyError, TypeError, AttributeError):
            print(
                f"Error: {given.pods} is no list of pods (kubectl get pods -A -o json)",
                file=sys.stderr,
            )
            return 2
    freed = 0
    for verdict in list(verdicts(given.cache, given.keep, pods, given.unused_for)):
        model, kept = verdict.model, verdict.kept
        size = size_text(model.manifest.size)
        if not kept and not given.dry_run:
            kept = remove(model)
        if kept:
            print(f"kept {model.folder} ({model.manifest.request.source}, {size}): {kept}")
            continue
        freed += model.manifest.size
        done = "would remove" if given.dry_run else "removed"
        print(f"{done} {model.folder} ({model.manifest.request.source}, {size})")
    print(f"{size_text(freed)} {'would be freed' if given.dry_run else 'freed'}")
    return 0


def _pods(path: str) -> Pods:
    if path == "-":
        return pods_of(json.load(sys.stdin))
    with open(path) as file:
        return pods_of(json.load(file))


def _duration(text: str) -> int:
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 12h or 30d")
    return int(match[1]) * _UNITS[match[2]]


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return int(text)


def _folder(text: str) -> str:
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"there is no folder {text}")
    return os.path.realpath(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="model-booster-downloader")
    commands = parser.add_subparsers(dest="command", required=True)
    listed = commands.add_parser("list", help="name the models of a cache")
    listed.add_argument("cache", type=_folder)
    verify = commands.add_parser("verify", help="read a model and compare it with its manifest")
    verify.add_argument("folder", type=_folder)
    collect = commands.add_parser("gc", help="remove old models that no pod uses")
    collect.add_argument("cache", type=_folder)
    collect.add_argument(
        "--keep", type=_count, required=True, help="folders of each source that stay"
    )
    collect.add_argument("--pods", help="pods of the cluster (kubectl get pods -A -o json), or -")
    collect.add_argument(
        "--unused-for", type=_duration, help="remove only what no pod started with for so long"
    )
    collect.add_argument("--dry-run", action="store_true", help="remove nothing")
    prepared = commands.add_parser("prepare", help="make folders for downloads of another user")
    prepared.add_argument("--user", type=_count, required=True, help="id of the user")
    prepared.add_argument("folder", nargs="+", help="--output-dir of a download")
    return parser
