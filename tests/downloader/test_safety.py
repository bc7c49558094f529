"""What a hostile or odd listing cannot do, and the values that the parts compute."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from modelscope_hub.config import HubConfig

from downloader.errors import DownloadError, Reason
from downloader.hashes import file_digest, new_hasher
from downloader.paths import check_names
from downloader.progress.meter import Meter, Progress
from downloader.progress.output import progress_text
from downloader.settings import NAMES as NAMES_OF_VALUES
from downloader.settings import settings_of
from downloader.sizes import size_text, time_text
from downloader.sources.base import Listing, RemoteFile
from downloader.transfer.journal import Journal, Known, read_journal
from tests.downloader.conftest import FILES, URI, Here, Result, contents
from tests.downloader.hub import NAME, TOKEN, Hub

NAMES = [
    ("../escape", "has the segment '.' or '..'"),
    ("a/../../escape", "has the segment '.' or '..'"),
    ("/etc/passwd", "is absolute"),
    ("a//b", "has an empty segment"),
    ("a/", "has an empty segment"),
    ("./a", "has the segment '.' or '..'"),
    ("a\\b", "has a backslash or a control character"),
    ("a\nb", "has a backslash or a control character"),
    ("a\0b", "has a backslash or a control character"),
    (".model-booster.json", "is a name that the downloader uses itself"),
    (".model-booster/lock", "is a name that the downloader uses itself"),
    ("x" * 256, "is too long"),
    ("/".join(["y" * 200] * 6), "is too long"),
    ("\ud800", "is not valid Unicode"),
]


@pytest.mark.parametrize(("path", "fault"), NAMES)
def test_a_name_that_could_leave_the_folder_is_refused(path: str, fault: str) -> None:
    with pytest.raises(DownloadError) as failed:
        check_names(["config.json", path])
    assert failed.value.reason == Reason.UNSAFE
    assert fault in failed.value.message


@pytest.mark.parametrize("paths", [["a", "a"], ["a", "a/b"], ["a/b/c", "a/b"]])
def test_names_that_exclude_each_other_are_refused(paths: list[str]) -> None:
    with pytest.raises(DownloadError, match=r"occurs twice|is a file and a folder"):
        check_names(paths)


@pytest.mark.parametrize("source", [URI, "ms://org/model"])
def test_nothing_is_written_for_a_hostile_listing(
    here: Here, hub: Hub, cache: Path, source: str
) -> None:
    hub.faults.extra = {"../../escape": 5}

    with pytest.raises(DownloadError, match="nothing was downloaded"):
        here(source)

    assert hub.sent == 0
    assert not (cache / "m").exists()
    assert not list(cache.parent.glob("**/escape"))


def test_a_link_in_the_target_is_not_followed(here: Here, cache: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (cache / "m").mkdir()
    (cache / "m/tokenizer").symlink_to(outside)

    with pytest.raises(DownloadError, match="is a symbolic link"):
        here()

    assert not os.listdir(outside)


def test_a_link_in_place_of_a_file_is_replaced(here: Here, cache: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(FILES["config.json"])
    (cache / "m").mkdir()
    (cache / "m/config.json").symlink_to(outside)

    folder = here()

    assert not (folder / "config.json").is_symlink()
    assert contents(folder) == FILES


@pytest.mark.parametrize("limits", [(4, 10**9), (100, 1_000_000)])
def test_limits_are_checked_before_the_first_byte(
    here: Here, hub: Hub, limits: tuple[int, int]
) -> None:
    with pytest.raises(DownloadError, match="are allowed; check the source, or raise") as failed:
        here(limits=limits)
    assert failed.value.reason == Reason.TOO_LARGE
    assert hub.sent == 0


def test_a_folder_of_a_volume_is_copied(here: Here, tmp_path: Path) -> None:
    source = tmp_path / "claim/m"
    (source / "sub").mkdir(parents=True)
    (source / "sub/a.bin").write_bytes(b"a" * 100_000)
    (source / "b.bin").symlink_to("sub/a.bin")

    folder = here(f"pvc:/{source}")

    assert contents(folder) == {"sub/a.bin": b"a" * 100_000, "b.bin": b"a" * 100_000}
    (source / "b.bin").unlink()
    (source / "b.bin").symlink_to("/etc/hostname")
    with pytest.raises(DownloadError, match="is a link that leads out of"):
        here(f"pvc:/{source}", refresh=True)


def test_no_saved_login_is_unpickled(
    fetch: Callable[..., Result],
    cache: Path,
    hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ModelScope's client saves a login as a pickle, and would load it, if it had no token."""
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "home"))
    HubConfig(endpoint=hub.url).save_token(TOKEN)
    assert (tmp_path / "home/credentials/cookies").is_file()

    result = fetch(source=f"ms://{NAME}", env={"MODELSCOPE_HOME": str(tmp_path / "home")})

    assert (result.code, contents(cache / "m")) == (0, hub.files)
    assert not [text for text in hub.logins if TOKEN in text]


PAGE = (Path(__file__).parents[2] / "docs/downloads.md").read_text()


@pytest.mark.parametrize("reason", list(Reason))
def test_the_page_explains_every_reason(reason: Reason) -> None:
    assert f"`{reason}`" in PAGE.partition("## What each failure means")[2]


@pytest.mark.parametrize(
    "name", sorted(itertools.chain(*NAMES_OF_VALUES.values(), NAMES_OF_VALUES))
)
def test_the_page_names_every_variable(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize(
    ("digest", "data"),
    [
        ("git:ce013625030ba8dba906f756967f9e9ca394464a", b"hello\n"),
        ("md5:b1946ac92492d2347c6235b4d2611184", b"hello\n"),
        (
            f"md5parts:4:{hashlib.md5(hashlib.md5(b'hell').digest() + hashlib.md5(b'o!').digest()).hexdigest()}-2",  # noqa: E501, S324
            b"hello!",
        ),
        ("sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", b"hello\n"),
    ],
)
def test_hashes_are_those_of_the_sources(tmp_path: Path, digest: str, data: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(data)
    assert file_digest(str(path), digest) == digest
    prefix, hasher = new_hasher(digest, len(data))
    for byte in data:
        hasher.update(bytes([byte]))
    assert prefix + hasher.hexdigest() == digest


def test_an_endpoint_is_stored_without_its_password() -> None:
    env = {"HF_ENDPOINT": "https://me:secret@hub.local/x?k=v"}
    assert settings_of(URI, 1, None, env).request.endpoint == "https://hub.local/x"


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_torn_journal_tells_what_was_written_before(tmp_path: Path, cut: int) -> None:
    path = str(tmp_path / "journal")
    listing = Listing("c", (RemoteFile("a", 10), RemoteFile("b", 10)))
    journal = Journal(path, listing, Known())
    journal.step(0, 0, 4)
    journal.step(0, 0, 8)
    journal.completed(RemoteFile("b", 10, "md5:" + "0" * 32))
    journal.close()
    os.truncate(path, os.path.getsize(path) - cut)

    known = read_journal(path, listing)

    assert not known.complete
    assert known.steps == {(0, 0): 8}
    assert known.is_same
    assert not read_journal(path, Listing("d", listing.files)).steps


def test_progress_is_a_line() -> None:
    progress = Progress(12_300_000_000, 40_000_000_000, 310_000_000, 89, "a.bin", 1, 8)
    want = "12.3 GB of 40.0 GB (30 %), 310.0 MB/s, about 1 min 29 s left, 1 of 8 files: a.bin"
    assert progress_text(progress) == want
    assert "nothing arrives" in progress_text(Progress(1, 2))
    assert (size_text(999), size_text(2e12), time_text(7260)) == (
        "999 bytes",
        "2.0 TB",
        "2 h 1 min",
    )


def test_a_meter_counts_what_was_there_apart() -> None:
    meter = Meter(100, 40, 2, 1)
    meter.file("a")
    meter.file("b")
    assert meter.now().file == "b"
    meter.add(60)
    meter.file_done("b")
    now = meter.now()
    assert now.file == "a"
    assert (now.bytesDone, now.filesDone, now.secondsLeft, meter.fetched) == (100, 2, 0, 60)
