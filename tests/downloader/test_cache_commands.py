"""``list``, ``verify`` and ``gc``: what a cache contains, and what may go."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from downloader.cache import commands
from tests.downloader.conftest import URI, Here
from tests.downloader.hub import Hub


@pytest.fixture
def models(here: Here, hub: Hub) -> list[Path]:
    """Three revisions of a model, the oldest first."""
    found = []
    for number in range(3):
        revision = f"{number}" * 40
        hub.revisions[revision] = revision
        folder = here(name=f"m{number}", env={"HF_REVISION": revision})
        uses = here.cache / f".model-booster/m{number}/uses"
        at = int(time.time()) - (10 - number) * 86400
        uses.write_text(json.dumps({"pod": f"pod-{number}", "time": at}) + "\n")
        os.utime(folder / ".model-booster.json", (at, at))
        found.append(folder)
    return found


def pods(path: Path, *items: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"items": list(items)}))
    return path


def pod(name: str, phase: str = "Running", *args: str) -> dict[str, Any]:
    spec = {"initContainers": [{"name": "download", "args": list(args)}]}
    return {"metadata": {"name": name}, "spec": spec, "status": {"phase": phase}}


def names(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.name != ".model-booster")


def test_a_cache_is_listed(
    here: Here, models: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert commands.run(["list", str(here.cache)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("  ")[0] for line in lines] == [str(each) for each in models[::-1]]
    assert f"{URI}  {'2' * 40} (222222222222)  1.0 MB  used " in lines[0]


def test_a_damaged_model_fails_its_verification(
    here: Here, models: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.run(["verify", str(models[0])]) == 0
    file = models[0] / "tokenizer/vocab.json"
    state = file.stat()
    file.write_bytes(b"?" + file.read_bytes()[1:])
    os.utime(file, ns=(state.st_mtime_ns, state.st_mtime_ns))  # as a failing disk would

    assert commands.run(["verify", str(models[0])]) == 1
    assert commands.run(["verify", str(here.cache)]) == 1

    shown = capsys.readouterr()
    assert "tokenizer/vocab.json has other bytes than were downloaded" in shown.out
    assert "has no manifest: it is not whole" in shown.err


def test_the_newest_stay(here: Here, models: list[Path], tmp_path: Path) -> None:
    empty = pods(tmp_path / "pods.json")
    arguments = ["gc", str(here.cache), "--keep", "2", "--pods", str(empty)]
    assert commands.run([*arguments, "--dry-run"]) == 0
    assert names(here.cache) == ["m0", "m1", "m2"]
    assert commands.run(arguments) == 0
    assert names(here.cache) == ["m1", "m2"]


@pytest.mark.parametrize(
    ("item", "stays"),
    [
        (pod("pod-0"), True),
        (pod("pod-0", "Succeeded"), False),
        (pod("other", "Pending", "--source", URI, "--output-dir", "/cache/m0/"), True),
        (pod("other", "Running", "--output-dir=/cache/m0"), True),
        (pod("other"), False),
    ],
)
def test_what_a_pod_uses_stays(
    here: Here, models: list[Path], tmp_path: Path, item: dict[str, Any], stays: bool
) -> None:
    given = pods(tmp_path / "pods.json", item)
    assert commands.run(["gc", str(here.cache), "--keep", "1", "--pods", str(given)]) == 0
    assert names(here.cache) == (["m0", "m2"] if stays else ["m2"])


def test_what_was_used_not_long_ago_stays(here: Here, models: list[Path]) -> None:
    # m0 was used 10 days ago, m1 9 days ago
    commands.run(["gc", str(here.cache), "--keep", "0", "--unused-for", "228h"])
    assert names(here.cache) == ["m1", "m2"]


def test_a_file_that_is_open_keeps_its_model(
    here: Here, models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = pods(tmp_path / "pods.json")
    with (models[0] / "model-00001.safetensors").open("rb"):
        commands.run(["gc", str(here.cache), "--keep", "0", "--pods", str(given)])
    assert names(here.cache) == ["m0"]
    assert "is open on this node" in capsys.readouterr().out


def test_a_list_that_is_none_of_pods_removes_nothing(
    here: Here, models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "pods.json"
    wrong.write_text('{"kind": "Status"}')
    assert commands.run(["gc", str(here.cache), "--keep", "0", "--pods", str(wrong)]) == 2
    assert names(here.cache) == ["m0", "m1", "m2"]
    assert "is no list of pods" in capsys.readouterr().err


def test_a_model_that_was_removed_is_downloaded_again(
    here: Here, models: list[Path], hub: Hub
) -> None:
    commands.run(["gc", str(here.cache), "--keep", "0", "--unused-for", "1s"])
    assert names(here.cache) == []
    assert here(name="m0", env={"HF_REVISION": "0" * 40}) == models[0]
    shutil.rmtree(models[0])


def test_folders_are_prepared_for_the_user_of_a_download(cache: Path) -> None:
    outside = cache / "outside"
    outside.write_text("of somebody else")
    folder = cache / "m"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/file").write_text("filled by another downloader")
    (folder / "link").symlink_to(outside)
    os.mkfifo(folder / "fifo")
    user = os.getuid()  # whom root may give files to is shown on real pods

    assert commands.run(["prepare", "--user", str(user), str(folder), str(cache / "new")]) == 0

    assert {path.name for path in cache.iterdir()} == {".model-booster", "m", "new", "outside"}
    assert {path.name for path in (cache / ".model-booster").iterdir()} == {"m", "new"}


def test_a_link_in_place_of_a_folder_is_left_alone(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (cache / "m").symlink_to(elsewhere)

    assert commands.run(["prepare", "--user", str(os.getuid()), str(cache / "m")]) == 0

    assert "cannot prepare" in capsys.readouterr().err
    assert list(elsewhere.iterdir()) == []
