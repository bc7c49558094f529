"""Buckets: moto's S3 server and the real client; OBS by the same protocol."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from downloader.errors import DownloadError, Reason
from tests.downloader.conftest import FILES, PROXIES, Downloader, Here, contents

KEYS = {"ACCESS_KEY": "test", "SECRET_KEY": "secret-of-the-bucket"}
AWS_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "secret-of-the-bucket"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    served = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    served.start()
    host, port = served.get_host_and_port()
    yield f"http://{host}:{port}"
    served.stop()


@pytest.fixture
def client(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The bucket's owner; the environment has no credentials of its own."""
    for name in (*PROXIES, "AWS_PROFILE", "AWS_ENDPOINT_URL", *AWS_KEYS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    made = boto3.client(
        "s3",
        endpoint_url=server,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="secret-of-the-bucket",
    )
    yield made
    made.close()


@pytest.fixture
def bucket(client: Any, request: pytest.FixtureRequest) -> str:
    name = "b" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]
    client.create_bucket(Bucket=name)
    for path, data in FILES.items():
        client.put_object(Bucket=name, Key=f"models/m/{path}", Body=data)
    client.put_object(Bucket=name, Key="models/m/", Body=b"")  # the marker of a folder
    client.put_object(Bucket=name, Key="models/m2/other.txt", Body=b"not ours")
    return name


def test_a_bucket_is_downloaded_with_kthenas_names(here: Here, bucket: str, server: str) -> None:
    folder = here(f"s3://{bucket}/models/m", env={**KEYS, "ENDPOINT": server})

    assert contents(folder) == FILES
    data = json.loads((folder / ".model-booster.json").read_text())
    assert {file["digest"].partition(":")[0] for file in data["files"]} == {"md5"}
    assert KEYS["SECRET_KEY"] not in json.dumps(data)


@pytest.mark.parametrize("endpoint", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_a_bucket_is_downloaded_with_amazons_names(
    here: Here, bucket: str, server: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in AWS_KEYS.items():
        monkeypatch.setenv(name, value)
    assert contents(here(f"s3://{bucket}/models/m/", env={endpoint: server})) == FILES


def test_obs_is_s3_with_an_endpoint(here: Here, bucket: str, server: str) -> None:
    assert contents(here(f"obs://{bucket}/models/m", env={**KEYS, "ENDPOINT": server})) == FILES


def test_a_public_bucket_needs_no_credentials(
    here: Here, bucket: str, client: Any, server: str
) -> None:
    client.put_bucket_acl(Bucket=bucket, ACL="public-read")
    for path in FILES:
        client.put_object_acl(Bucket=bucket, Key=f"models/m/{path}", ACL="public-read")
    assert contents(here(f"s3://{bucket}/models/m", env={"ENDPOINT": server})) == FILES


def test_an_object_that_was_uploaded_in_parts_is_verified(
    here: Here, bucket: str, client: Any, server: str, tmp_path: Path
) -> None:
    # S3 allows parts from 5 MiB on; the last one may be smaller.
    body = b"".join(bytes([number]) * (5 << 20) for number in range(2)) + b"end"
    upload = client.create_multipart_upload(Bucket=bucket, Key="big/large.bin")
    parts = []
    for number, start in enumerate(range(0, len(body), 5 << 20), 1):
        part = client.upload_part(
            Bucket=bucket,
            Key="big/large.bin",
            UploadId=upload["UploadId"],
            PartNumber=number,
            Body=body[start : start + (5 << 20)],
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    client.complete_multipart_upload(
        Bucket=bucket,
        Key="big/large.bin",
        UploadId=upload["UploadId"],
        MultipartUpload={"Parts": parts},
    )

    folder = here(f"s3://{bucket}/big", env={**KEYS, "ENDPOINT": server})

    assert contents(folder) == {"large.bin": body}
    [file] = json.loads((folder / ".model-booster.json").read_text())["files"]
    assert file["digest"].endswith("-3")


@pytest.mark.slow
def test_more_than_a_page_of_objects_is_listed(
    here: Here, client: Any, bucket: str, server: str
) -> None:
    for number in range(1005):
        client.put_object(Bucket=bucket, Key=f"many/{number:04}", Body=b"x")
    assert len(contents(here(f"s3://{bucket}/many", env={**KEYS, "ENDPOINT": server}))) == 1005


def test_a_changed_object_is_fetched_when_told(
    here: Here, client: Any, bucket: str, server: str
) -> None:
    env = {**KEYS, "ENDPOINT": server}
    here(f"s3://{bucket}/models/m", env=env)
    client.put_object(Bucket=bucket, Key="models/m/config.json", Body=b"changed")
    client.delete_object(Bucket=bucket, Key="models/m/empty.txt")

    folder = here(f"s3://{bucket}/models/m", env=env, refresh=True)

    wanted = {**FILES, "config.json": b"changed"}
    del wanted["empty.txt"]
    assert contents(folder) == wanted


@pytest.mark.parametrize(
    ("source", "env", "reason", "sentence"),
    [
        pytest.param(
            *("s3://{bucket}/models/m", {"ACCESS_KEY": "test"}, Reason.NO_CREDENTIALS),
            "Missing credentials: ACCESS_KEY is set and SECRET_KEY is not",
            id="half",
        ),
        pytest.param(
            *("s3://no-such-bucket-here/m", KEYS, Reason.NOT_FOUND),
            "there is no bucket no-such-bucket-here at {server}; correct the name, or ENDPOINT",
            id="no bucket",
        ),
        pytest.param(
            *("s3://{bucket}/models/none", KEYS, Reason.EMPTY),
            "s3://{bucket}/models/none/ has no files; check its name",
            id="no folder",
        ),
        pytest.param(
            *("s3://{bucket}/models/m", {**KEYS, "ENDPOINT": "http://127.0.0.1:9"}),
            *(Reason.UNREACHABLE, "check the network"),
            id="no server",
        ),
    ],
)
def test_a_failure_says_what_to_do(
    *,
    here: Here,
    bucket: str,
    server: str,
    source: str,
    env: Mapping[str, str],
    reason: Reason,
    sentence: str,
) -> None:
    with pytest.raises(DownloadError) as failed:
        here(source.format(bucket=bucket), env={"ENDPOINT": server, **env})

    assert failed.value.reason == reason
    assert sentence.format(bucket=bucket, server=server) in str(failed.value)


@pytest.fixture
def strict(server: str, bucket: str) -> Iterator[None]:
    """Lets the server check credentials, as real ones do."""
    del bucket  # created before
    with httpx.Client(base_url=server, trust_env=False) as moto:
        moto.post("/moto-api/reset-auth", content=b"0").raise_for_status()
        yield
        moto.post("/moto-api/reset-auth", content=b"1e9").raise_for_status()


@pytest.mark.usefixtures("strict")
def test_keys_that_the_server_does_not_know_are_named(here: Here, bucket: str, server: str) -> None:
    with pytest.raises(DownloadError) as failed:
        here(f"s3://{bucket}/models/m", env={"ENDPOINT": server, **KEYS})

    assert failed.value.reason == Reason.NO_CREDENTIALS
    sentence = "the credentials are not valid (InvalidAccessKeyId); set ACCESS_KEY and SECRET_KEY"
    assert sentence in str(failed.value)


def test_a_bucket_that_is_not_public_asks_for_credentials(
    here: Here, bucket: str, server: str
) -> None:
    """moto lists every bucket for everybody; only objects are private."""
    with pytest.raises(DownloadError) as failed:
        here(f"s3://{bucket}/models/m", env={"ENDPOINT": server})

    assert failed.value.reason == Reason.NO_CREDENTIALS
    sentence = f"Missing credentials: s3://{bucket}/models/m/ is not public, and there are none"
    assert sentence in str(failed.value)


def test_a_whole_bucket_needs_no_server(
    downloader: Downloader, bucket: str, server: str, cache: Path
) -> None:
    args = ("-s", f"s3://{bucket}/models/m", "-o", cache / "m")
    first = downloader(*args, env={**KEYS, "ENDPOINT": server})
    assert (first.code, first.err.count("Error")) == (0, 0)
    # No credentials: they are not needed either.
    second = downloader(*args, env={"ENDPOINT": server})
    assert second.code == 0
    assert "nothing to fetch" in second.out
