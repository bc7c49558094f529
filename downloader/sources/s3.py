"""Models in buckets: S3, its many implementations, and Huawei OBS by the S3 protocol.

boto3 lists the objects and signs addresses, with every kind of credentials that it knows: keys,
roles of nodes and pods, web identities. Without any, the bucket is read as a public one.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from downloader.errors import DownloadError, Reason, TransientError, without_secrets
from downloader.http_client import Http, Refused
from downloader.settings import Settings
from downloader.sources.base import Listing, RemoteFile, listing_of
from downloader.sources.web import WebSource
from downloader.tls import tls_error

_ADDRESS_SECONDS = 3600
_DENIED = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled"})
_BAD_KEYS = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "401", "Unauthorized"})
_EXPIRED = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired"})
_LATER = frozenset({"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "503"})


class Bucket(WebSource):
    """The objects below a prefix of a bucket.

    Args:
        settings: what to download.
        http: the clients.

    Raises:
        DownloadError: the credentials are incomplete.
    """

    def __init__(self, settings: Settings, http: Http) -> None:
        super().__init__(http)
        self._bucket, _, path = settings.name.partition("/")
        self._prefix = f"{path.strip('/')}/" if path.strip("/") else ""
        self._shown = f"{settings.scheme}://{self._bucket}/{self._prefix}"
        self._endpoint = settings.endpoint
        self._client, self.is_anonymous = self._connected(settings)

    def _connected(self, settings: Settings) -> tuple[Any, bool]:
        import boto3
        import botocore.config
        import botocore.exceptions
        from botocore import UNSIGNED

        key, secret = settings.value("access_key"), settings.value("secret_key")
        if bool(key) != bool(secret):
            given, missing = ("ACCESS_KEY", "SECRET_KEY") if key else ("SECRET_KEY", "ACCESS_KEY")
            raise DownloadError(
                Reason.NO_CREDENTIALS,
                f"Missing credentials: {given} is set and {missing} is not",
                "set both, or neither to use a role or a public bucket",
            )
        session = boto3.Session(aws_access_key_id=key or None, aws_secret_access_key=secret or None)
        try:
            is_anonymous = session.get_credentials() is None
        except botocore.exceptions.BotoCoreError as exc:
            raise self._failure(exc) from exc
        options: dict[str, Any] = {"signature_version": UNSIGNED if is_anonymous else "s3v4"}
        config = botocore.config.Config(
            connect_timeout=15,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=settings.workers,
            **options,
        )
        client = session.client(
            "s3",
            endpoint_url=self._endpoint or None,
            region_name=session.region_name or "us-east-1",
            verify=settings.ca_file or None,
            config=config,
        )
        return client, is_anonymous

    def listing(self) -> Listing:
        """Returns all objects below the prefix, without the markers of folders.

        Raises:
            DownloadError: the bucket refuses, by its reason.
            TransientError: it cannot be reached, or has an error of its own.
        """
        files = []
        for each in self._objects():
            path = each["Key"][len(self._prefix) :]
            if path and not path.endswith("/"):
                tag = each.get("ETag", "").strip('"')
                files.append(RemoteFile(path, int(each["Size"]), _plain_tag(tag)))
        return listing_of(files, "", self._shown)

    def _objects(self) -> Iterator[Any]:
        # The first version of the call: OBS does not know the tokens of the second, and would end
        # a listing at 1000 objects.
        marker = ""
        while True:
            try:
                page = self._client.list_objects(
                    Bucket=self._bucket, Prefix=self._prefix, Marker=marker
                )
            except Exception as exc:
                raise self._failure(exc) from exc
            found = page.get("Contents", [])
            yield from found
            if not page.get("IsTruncated") or not found:
                return
            marker = page.get("NextMarker") or found[-1]["Key"]

    def described(self, file: RemoteFile) -> RemoteFile:
        """Returns a file with the strongest hash that the bucket knows of it.

        Raises:
            DownloadError: the object cannot be read.
            TransientError: another try may help.
        """
        try:
            head = self._head(file, ChecksumMode="ENABLED")
            digest = _plain_tag(head.get("ETag", "").strip('"'))
            is_encrypted = head.get("ServerSideEncryption", "") not in ("", "AES256")
            if is_encrypted or head.get("SSECustomerAlgorithm"):
                digest = ""  # then the ETag is no hash
            elif not digest and "-" in head.get("ETag", ""):
                first = self._head(file, PartNumber=1)
                size = int(first["ContentLength"])
                parts = int(head["ETag"].strip('"').rpartition("-")[2])
                if size and -(-file.size // size) == parts:
                    digest = f"md5parts:{size}:{head['ETag'].strip(chr(34))}"
        except Exception as exc:
            raise self._failure(exc) from exc
        if int(head["ContentLength"]) != file.size:
            raise DownloadError(
                Reason.CHANGED,
                f"{self._shown}{file.path} changed during the download",
                "start again",
            )
        if head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT" and "ChecksumSHA256" in head:
            digest = f"sha256:{base64.b64decode(head['ChecksumSHA256']).hex()}"
        return RemoteFile(file.path, file.size, digest)

    def _head(self, file: RemoteFile, **options: Any) -> Any:
        return self._client.head_object(
            Bucket=self._bucket, Key=f"{self._prefix}{file.path}", **options
        )

    def address(self, file: RemoteFile) -> tuple[str, Mapping[str, str]]:
        """Returns a signed address of an object."""
        parameters = {"Bucket": self._bucket, "Key": f"{self._prefix}{file.path}"}
        url: str = self._client.generate_presigned_url(
            "get_object", Params=parameters, ExpiresIn=_ADDRESS_SECONDS
        )
        return url, {}

    def refusal(self, answer: Refused, file: RemoteFile) -> DownloadError:
        """Returns the failure for an answer to a request for an object."""
        if answer.status == 404:
            return DownloadError(
                Reason.CHANGED, f"{self._shown}{file.path} was removed", "start again"
            )
        return self._explained(str(answer.status), "")

    def _failure(self, exc: Exception) -> Exception:
        """Returns the failure for an error of boto3."""
        import botocore.exceptions as errors

        host = urlsplit(self._endpoint).hostname or "S3"
        text = without_secrets(str(exc))
        if isinstance(exc, errors.ClientError):
            code = str(exc.response.get("Error", {}).get("Code", ""))
            status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if code in _LATER or status == 429 or status >= 500:
                return TransientError(f"{host}: {code}")
            return self._explained(code, text)
        if isinstance(exc, errors.SSLError):
            return tls_error(host, exc)
        if isinstance(exc, errors.NoCredentialsError | errors.PartialCredentialsError):
            return self._explained("AccessDenied", text)
        if isinstance(exc, errors.HTTPClientError | errors.ConnectionError):
            return TransientError(f"{host}: {text}")
        return DownloadError(Reason.NO_CREDENTIALS, f"{host}: {text}", _KEYS)

    def _explained(self, code: str, text: str) -> DownloadError:
        if code == "NoSuchBucket" or (code == "404" and not text):
            where = f" at {self._endpoint}" if self._endpoint else ""
            return DownloadError(
                Reason.NOT_FOUND,
                f"there is no bucket {self._bucket}{where}",
                "correct the name, or ENDPOINT",
            )
        if code in _DENIED and self.is_anonymous:
            return DownloadError(
                Reason.NO_CREDENTIALS,
                f"Missing credentials: {self._shown} is not public, and there are none",
                _KEYS,
            )
        if code in _DENIED:
            return DownloadError(
                Reason.ACCESS_DENIED,
                f"the credentials have no access to {self._shown}",
                "allow s3:ListBucket for the bucket and s3:GetObject for its objects",
            )
        if code in _BAD_KEYS or code in _EXPIRED:
            return DownloadError(
                Reason.NO_CREDENTIALS, f"the credentials are not valid ({code})", _KEYS
            )
        if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "301"):
            return DownloadError(
                Reason.BAD_ENDPOINT,
                f"the bucket {self._bucket} is in another region",
                "set AWS_REGION",
            )
        return DownloadError(Reason.UNREACHABLE, f"{self._shown}: {text or code}")


_KEYS = (
    "set ACCESS_KEY and SECRET_KEY, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
    "(a Secret in envFrom), or give the pod a role"
)


def _plain_tag(tag: str) -> str:
    """Returns the hash that the ETag of an object in one piece is; ``""`` for other ETags."""
    is_md5 = len(tag) == 32 and all(char in "0123456789abcdef" for char in tag)
    return f"md5:{tag}" if is_md5 else ""
