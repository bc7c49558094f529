"""Each failure has its reason, and a sentence with the next step."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from downloader.errors import DownloadError, disk_error, without_secrets
from downloader.http_client import Http
from tests.downloader.conftest import FILES, URI, Downloader, Here, Result, contents
from tests.downloader.hub import NAME, TOKEN, Hub

BAD = {"HF_TOKEN": "hf_badtokenbadtoken", "MS_TOKEN": "bad"}


def gated(hub: Hub) -> None:
    hub.faults.is_gated = True


def private(hub: Hub) -> None:
    hub.faults.needs_token = True


def broken(hub: Hub) -> None:
    hub.faults.list_status = 500


def limited(hub: Hub) -> None:
    hub.faults.list_status = 429


def limited_files(hub: Hub) -> None:
    hub.faults.fail, hub.faults.fail_status = 1000, 429
    hub.faults.headers = {"Retry-After": "0"}


def huge(hub: Hub) -> None:
    hub.faults.extra = {"huge.bin": 10**17}


def empty(hub: Hub) -> None:
    hub.files = {}


def right(_hub: Hub) -> None:
    pass


CASES = [
    pytest.param(
        URI, gated, {}, "Gated", "accept the licence at {url}/org/model, and put", id="gated"
    ),
    pytest.param(
        URI, gated, BAD, "Gated", "accept the licence at {url}/org/model", id="gated, token"
    ),
    pytest.param(URI, private, {}, "NoToken", "put a token into HF_TOKEN", id="no token"),
    pytest.param(URI, private, BAD, "NoToken", "create a new one with read access", id="bad token"),
    pytest.param("hf://org/none", right, {}, "NoToken|NotFound", "correct the name", id="no model"),
    pytest.param(
        *(URI, right, {"HF_REVISION": "v9"}, "NoSuchRevision"),
        "has no revision 'v9'; set HF_REVISION",
        id="no revision",
    ),
    pytest.param(URI, broken, {}, "Unreachable", "failed 6 times: {host} answered 500", id="500"),
    pytest.param(URI, limited, {}, "Quota", "or set HF_TOKEN", id="429"),
    pytest.param(URI, limited_files, {}, "Quota", "limits the number of requests", id="429, file"),
    pytest.param(URI, huge, {}, "TooLarge", "are allowed", id="too large"),
    pytest.param(URI, empty, {}, "EmptySource", "nothing was downloaded", id="empty"),
    pytest.param("hf://a/b/c", right, {}, "BadSource", "write hf://owner/name", id="bad name"),
    pytest.param("https://huggingface.co/a/b", right, {}, "BadSource", "hf://owner", id="address"),
    pytest.param("gs://a/b", right, {}, "BadSource", "copy the model to s3://", id="gs"),
    pytest.param("oci://a/b", right, {}, "BadSource", "mount the image as a volume", id="oci"),
    pytest.param("hf://", right, {}, "BadSource", "names no model", id="no name"),
    pytest.param("pvc://", right, {}, "BadSource", "No path specified in PVC URI", id="pvc"),
    pytest.param("pvc://no/such", right, {}, "NotFound", "sees no folder /no/such", id="pvc away"),
    pytest.param(
        *(URI, right, {"HF_ENDPOINT": "hub.local"}, "BadEndpoint"),
        "has no scheme; write https://hub.local",
        id="no scheme",
    ),
    pytest.param(
        *(URI, right, {"HF_ENDPOINT": "http://127.0.0.1:9"}, "Unreachable"),
        "check the network, the proxy and the server",
        id="no server",
    ),
    pytest.param(
        "s3://b/m",
        right,
        {"ENDPOINT": "s3.local"},
        "BadEndpoint",
        "write https://s3.local",
        id="s3",
    ),
    pytest.param("obs://b/m", right, {}, "BadEndpoint", "set ENDPOINT, such as", id="obs"),
    pytest.param("ms://m", right, {}, "BadSource", "write ms://owner/name", id="ms name"),
    pytest.param("ms://org/none", right, {}, "NotFound", "correct the name", id="ms no model"),
    pytest.param(f"ms://{NAME}", private, {}, "NoToken", "put one into MS_TOKEN", id="ms token"),
    pytest.param(
        *(f"ms://{NAME}", right, {"MS_REVISION": "v9"}, "NoSuchRevision|NotFound"),
        "MS_REVISION",
        id="ms revision",
    ),
]


@pytest.mark.parametrize(("source", "fault", "env", "reason", "sentence"), CASES)
def test_a_failure_says_what_to_do(
    *,
    here: Here,
    hub: Hub,
    source: str,
    fault: Callable[[Hub], None],
    env: dict[str, str],
    reason: str,
    sentence: str,
) -> None:
    fault(hub)

    with pytest.raises(DownloadError) as failed:
        here(source, env=env)

    assert failed.value.reason in reason.split("|")
    host = hub.url.rpartition("/")[2]
    assert sentence.format(url=hub.url, host=host) in str(failed.value)
    assert failed.value.step or reason == "Unreachable"
    assert "badtoken" not in str(failed.value)
    assert hub.sent == 0


@pytest.mark.parametrize(
    "name", ["HF_AUTH_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN"]
)
def test_each_usual_name_of_a_token_works(here: Here, hub: Hub, name: str) -> None:
    hub.faults.needs_token = True
    assert contents(here(env={name: TOKEN})) == FILES


def test_a_token_in_a_file_works(
    fetch: Callable[..., Result], hub: Hub, cache: Path, tmp_path: Path
) -> None:
    hub.faults.needs_token = True
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert fetch(env={"HF_TOKEN_PATH": str(tmp_path / "token")}).code == 0
    assert contents(cache / "m") == FILES


def test_the_configuration_wins_over_the_environment(here: Here, hub: Hub) -> None:
    hub.faults.needs_token = True
    assert contents(here(env=BAD, config=f'{{"hf_token": "{TOKEN}"}}')) == FILES


def test_a_process_ends_with_the_reason_in_its_termination_message(
    fetch: Callable[..., Result], hub: Hub
) -> None:
    hub.faults.is_gated = True

    result = fetch(env={"HF_TOKEN": "hf_badtokenbadtoken"})
    told = fetch(env={"HF_TOKEN": "hf_x", "MODELBOOSTER_REFUSED_EXIT_CODE": "77"})

    assert result.code == 1
    assert told.code == 77  # so that a Job ends without further attempts
    assert result.out == ""
    assert f"Error: org/model is gated; accept the licence at {hub.url}/org/model" in result.err
    assert result.ended["reason"] == "Gated"
    assert result.ended["next"] == f"accept the licence at {hub.url}/org/model"


def test_bad_json_is_the_sentence_of_kthenas_downloader(fetch: Callable[..., Result]) -> None:
    result = fetch("--config", "{")
    assert result.code == 1
    assert "Invalid configuration JSON format." in result.err


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "the following arguments are required: -s/--source"),
        (["-s", "hf://a/b", "-w", "0"], "'0' is not a number from 1 to 64"),
        (["-s", "hf://a/b", "--max-files", "x"], "'x' is not a number"),
        (["gc", "/no/such", "--keep", "1"], "there is no folder /no/such"),
        (["gc", "/", "--keep", "1"], "gc must know what running pods use"),
    ],
)
def test_wrong_arguments_end_with_2(downloader: Downloader, args: list[str], sentence: str) -> None:
    result = downloader(*args)
    assert result.code == 2
    assert sentence in result.err


def certificate(folder: Path) -> tuple[Path, Path]:
    """Returns a certificate for localhost that is its own authority, and its key."""
    made = folder / "ca.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-out", str(made[0]), "-keyout", str(made[1])),
        ],
        check=True,
        capture_output=True,
    )
    return made


@pytest.mark.parametrize("source", [URI, f"ms://{NAME}"])
def test_a_private_mirror_is_trusted_by_a_ca_file(
    downloader: Downloader, here: Here, cache: Path, tmp_path: Path, source: str
) -> None:
    ca, key = certificate(tmp_path)
    with Hub(dict(FILES), (ca, key)) as hub:
        with pytest.raises(DownloadError) as refused:
            here(source, env=hub.environment())
        env = {**hub.environment(), "SSL_CERT_FILE": str(ca)}
        trusted = downloader("-s", source, "-o", cache / "m", env=env)

    assert refused.value.reason == "TLS"
    assert "is not trusted" in refused.value.message
    assert refused.value.step.endswith("set SSL_CERT_FILE to that file")
    assert trusted.code == 0
    assert contents(cache / "m") == FILES


def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="cannot read certificate authorities from /no/ca"):
        Http(1, "/no/ca")


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "NoSpace"),
        (errno.EDQUOT, "Quota"),
        (errno.EROFS, "NotWritable"),
        (errno.EIO, "NotWritable"),
    ],
)
def test_an_error_of_the_disk_names_the_folder(number: int, reason: str) -> None:
    failure = disk_error(OSError(number, os.strerror(number), "/cache/m"), "/cache")
    assert failure.reason == reason
    assert "/cache" in failure.message
    assert failure.step


def test_secrets_are_cut_out() -> None:
    text = f"https://me:pw@host/a?X-Amz-Signature=abc and {TOKEN}"
    assert without_secrets(text) == "https://…@host/a?… and …"


def test_no_secret_is_printed_or_stored(
    fetch: Callable[..., Result], hub: Hub, cache: Path
) -> None:
    hub.faults.redirect = True
    hub.faults.cut = 300_000

    result = fetch("--progress", "json", env={"HF_TOKEN": TOKEN})

    assert result.code == 0
    written = "".join(
        path.read_text(errors="replace")
        for path in cache.rglob("*")
        if path.is_file() and ".model-booster" in str(path)
    )
    for text in (result.out, result.err, str(result.ended), written):
        assert TOKEN not in text
        assert "very-secret" not in text


def test_a_folder_of_another_user_is_named_with_the_ways_out(tmp_path: Path) -> None:
    missing = tmp_path / "cache" / ".model-booster"
    (tmp_path / "cache").mkdir(mode=0o755)
    exc = PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(missing))
    mine = disk_error(exc, str(missing))
    assert mine.message == (
        f"cannot write to {missing}: Permission denied; {tmp_path}/cache belongs to user "
        f"{os.geteuid()} (mode 0755), and this is user {os.geteuid()}"
    )
    assert mine.step == f"give the folder to user {os.geteuid()}"

    other = Path("/proc/1")  # of root
    if not os.geteuid():
        other = tmp_path / "other"
        other.mkdir()
        os.chown(other, 65532, 65532)
    owner = "65532" if not os.geteuid() else "0 (root)"
    theirs = PermissionError(errno.EACCES, os.strerror(errno.EACCES), f"{other}/new")
    step = f"give the folder to user {os.geteuid()}, or set kthena.downloaderUser of the operator"
    assert disk_error(theirs, str(other)).step == f"{step} to {owner}"

    read_only = OSError(errno.EROFS, os.strerror(errno.EROFS), str(missing))
    assert "mount the volume writable" in disk_error(read_only, str(missing)).step
