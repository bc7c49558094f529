"""A model is in its place whole, or not at all, whatever the server and the disk do."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from downloader import run
from downloader.errors import DownloadError, Reason
from downloader.hashes import file_digest
from downloader.paths import place_of
from tests.downloader.conftest import FILES, URI, Downloader, Here, contents
from tests.downloader.hub import COMMIT, TOKEN, Hub

LARGE = "model-00001.safetensors"


def manifest(folder: Path) -> dict[str, object]:
    data: dict[str, object] = json.loads((folder / ".model-booster.json").read_text())
    return data


def test_a_download_is_whole_and_its_manifest_tells_what_it_is(here: Here) -> None:
    folder = here()

    assert contents(folder) == FILES
    found = manifest(folder)
    assert (found["source"], found["commit"]) == (URI, COMMIT)
    assert found["bytes"] == sum(map(len, FILES.values()))
    files = found["files"]
    assert isinstance(files, list)
    for file in files:
        assert file_digest(str(folder / file["path"]), file["digest"]) == file["digest"]
    assert not Path(place_of(str(folder)).staging).exists()


def test_a_whole_model_needs_no_server(here: Here, hub: Hub) -> None:
    here()
    hub.requests.clear()
    hub.faults.list_status = 500

    here()

    assert not hub.requests


def test_the_hub_is_asked_for_the_model_only(downloader: Downloader, hub: Hub, cache: Path) -> None:
    # By itself its client also asks for /api/agent-harnesses, which a mirror may not have.
    assert downloader("-s", URI, "-o", cache / "m", env=hub.environment()).code == 0
    asked = {path for path in hub.requests if path.startswith("/api/")}
    assert asked == {"/api/models/org/model/revision/main"}


def test_a_listing_that_fails_leaves_nothing(here: Here, hub: Hub, cache: Path) -> None:
    hub.faults.list_status = 500
    (cache / "m/lost+found").mkdir(parents=True)  # what misleads the hub's own client

    with pytest.raises(DownloadError) as failed:
        here()

    assert failed.value.reason == Reason.UNREACHABLE
    assert os.listdir(cache / "m") == ["lost+found"]


def test_a_file_that_fails_leaves_the_target_away(here: Here, hub: Hub, cache: Path) -> None:
    hub.faults.fail = 1000

    with pytest.raises(DownloadError, match="failed 6 times"):
        here()

    assert not (cache / "m").exists()


def test_errors_of_the_server_are_tried_again(here: Here, hub: Hub) -> None:
    hub.faults.fail = 4
    assert contents(here()) == FILES


@pytest.mark.parametrize(
    "cut", [7, 65_536, 299_999, *(pytest.param(cut, marks=pytest.mark.slow) for cut in (1, 1000))]
)
def test_answers_that_break_go_on_where_they_were(here: Here, hub: Hub, cut: int) -> None:
    body = bytes(range(256)) * 8 if cut < 100 else FILES[LARGE]
    hub.files = {LARGE: body}
    hub.faults.cut = cut

    assert contents(here()) == hub.files

    # Nothing is sent twice: that is what "where they were" means.
    assert hub.requests.total() <= 2 + len(body) // cut + 1


@pytest.mark.parametrize("size", [8, pytest.param(300, marks=pytest.mark.slow)])
def test_a_file_cut_at_every_byte_is_whole(here: Here, hub: Hub, size: int) -> None:
    body = FILES["tokenizer/vocab.json"][:size]
    hub.files = {"a.safetensors": body}
    for cut in range(1, len(body)):
        hub.faults.cut = cut
        folder = here(name=f"m{cut}")
        assert contents(folder) == hub.files


def test_a_server_without_ranges_is_read_from_the_beginning(here: Here, hub: Hub) -> None:
    hub.files = {LARGE: FILES[LARGE]}
    hub.faults.cut = 500_000
    hub.faults.no_ranges = True

    with pytest.raises(DownloadError, match="failed 6 times"):
        here()
    hub.faults.cut = None

    assert contents(here()) == hub.files


def test_wrong_bytes_are_fetched_again_once(here: Here, hub: Hub) -> None:
    hub.faults.wrong_bytes = 1
    assert contents(here()) == FILES


def test_bytes_that_stay_wrong_are_never_served(here: Here, hub: Hub, cache: Path) -> None:
    hub.faults.wrong_bytes = 1000

    with pytest.raises(DownloadError, match="other bytes than the source states") as failed:
        here()

    assert failed.value.reason == Reason.CORRUPT
    assert not (cache / "m").exists()


@pytest.mark.parametrize("change", ["missing", "short", "other bytes"])
def test_a_damaged_file_is_fetched_alone(
    here: Here, hub: Hub, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = here() / LARGE
    if change == "missing":
        path.unlink()
    elif change == "short":
        path.write_bytes(FILES[LARGE][:-1])
    else:
        path.write_bytes(b"?" + FILES[LARGE][1:])
    hub.sent = 0

    assert contents(here()) == FILES

    assert hub.sent == len(FILES[LARGE])
    assert f"is damaged: {LARGE}" in capsys.readouterr().err


def test_a_file_that_was_only_touched_is_not_fetched(here: Here, hub: Hub) -> None:
    path = here() / LARGE
    os.utime(path, (1, 1))
    hub.requests.clear()

    here()

    assert not hub.requests


def test_what_another_downloader_left_is_used(here: Here, hub: Hub, cache: Path) -> None:
    folder = cache / "m"
    (folder / "tokenizer").mkdir(parents=True)
    (folder / LARGE).write_bytes(FILES[LARGE])
    (folder / "config.json").write_bytes(b"?" * len(FILES["config.json"]))
    (folder / "notes.txt").write_text("of a user")

    here()

    assert contents(folder) == {**FILES, "notes.txt": b"of a user"}
    assert hub.requests[f"/org/model/resolve/{COMMIT}/{LARGE}"] == 0


def test_another_revision_in_the_same_folder_replaces_what_differs(here: Here, hub: Hub) -> None:
    folder = here()
    hub.revisions["v2"] = "f" * 40
    hub.revisions["f" * 40] = "f" * 40
    hub.files = {**FILES, "config.json": b'{"v": 2}'}
    del hub.files["empty.txt"]
    hub.sent = 0

    here(env={"HF_REVISION": "v2"})

    assert contents(folder) == hub.files
    assert hub.sent == len(hub.files["config.json"])
    assert manifest(folder)["revision"] == "v2"


def test_a_branch_is_asked_again_only_when_told(here: Here, hub: Hub) -> None:
    folder = here()
    hub.files = {**FILES, "config.json": b'{"v": 3}'}
    hub.revisions["main"] = "e" * 40
    hub.revisions["e" * 40] = "e" * 40

    here()
    assert contents(folder) == FILES
    here(refresh=True)
    assert contents(folder) == hub.files


@pytest.mark.parametrize("text", ["", "{", '{"schema": 1}', "[]", '{"schema": 9, "files": []}'])
def test_a_torn_manifest_is_no_manifest(here: Here, hub: Hub, text: str) -> None:
    folder = here()
    (folder / ".model-booster.json").write_text(text)
    hub.sent = 0

    assert contents(here()) == FILES

    assert hub.sent == 0  # every file was checked by its hash
    assert manifest(folder)["commit"] == COMMIT


def test_a_mount_point_is_filled_in_place(
    here: Here, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = str(cache / "m")
    (cache / "m").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: path == target)

    folder = here()

    shutil.rmtree(folder / ".model-booster")
    assert contents(folder) == FILES


def test_no_space_is_told_before_the_first_byte(here: Here, hub: Hub) -> None:
    hub.faults.extra = {"huge.bin": 10**13}

    with pytest.raises(DownloadError) as failed:
        here()

    assert failed.value.reason == Reason.NO_SPACE
    assert "needs 10.0 TB more, and the volume of" in str(failed.value)
    assert hub.sent == 0


def test_links_that_expire_are_asked_for_again(here: Here, hub: Hub) -> None:
    hub.faults.redirect = True
    hub.faults.cut = 100_000
    here()
    hub.faults.expire = 2

    assert contents(here(name="second", env={"HF_TOKEN": "hf_goodtokengoodtoken"})) == FILES

    # The token goes to the hub only.
    assert set(hub.cdn_authorizations) == {None}


def test_a_mirror_without_sizes_is_asked_file_by_file(here: Here, hub: Hub) -> None:
    hub.faults.no_sizes = True
    assert contents(here()) == FILES


def test_a_mirror_that_moved_is_followed(here: Here, hub: Hub) -> None:
    hub.faults.moved = hub.faults.needs_token = True
    assert contents(here(env={"HF_TOKEN": TOKEN})) == FILES


def test_files_of_several_segments_are_shared_by_threads(
    here: Here, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downloader.transfer.task.SEGMENT", 10_000)
    hub.faults.cut = 3_333
    assert contents(here(workers=8)) == FILES


def test_a_run_reports_while_it_runs(
    here: Here, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "LINE_SECONDS", 0.01)
    hub.faults.pause = 0.02

    here()

    err = capsys.readouterr().err
    assert "of 1.0 MB (" in err
    assert "of 5 files: " in err
