"""Models of the Hugging Face Hub and its mirrors.

The Hub's own client lists the files and explains refusals. Its transfer is not used: it returns
success for a folder that is not empty even if the server answers 404.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from downloader.errors import DownloadError, Reason, TransientError, without_secrets
from downloader.http_client import Http, Refused
from downloader.settings import Settings
from downloader.sources.base import Listing, RemoteFile, listing_of
from downloader.sources.web import WebSource
from downloader.tls import tls_error

_PUBLIC = "https://huggingface.co"
_SECONDS = 60.0
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9_][\w.-]{0,95})?")
_HEX = re.compile(r"[0-9a-f]+")


class HuggingFace(WebSource):
    """A repository of the Hub, or of a mirror.

    Args:
        settings: what to download.
        http: the clients.

    Raises:
        DownloadError: the name is not one of a repository.
    """

    def __init__(self, settings: Settings, http: Http) -> None:
        super().__init__(http)
        self._repository = settings.name
        self._revision = settings.revision or "main"
        self._endpoint = (settings.endpoint or _PUBLIC).rstrip("/")
        self._token = settings.value("hf_token")
        self._commit = self._revision
        if not _REPOSITORY.fullmatch(self._repository):
            raise DownloadError(
                Reason.BAD_SOURCE,
                f"{settings.source!r} does not name a repository",
                "write hf://owner/name; for another revision set HF_REVISION",
            )

    def listing(self) -> Listing:
        """Returns all files, by the commit that the revision is now.

        Raises:
            DownloadError: the Hub refuses, by its reason.
            TransientError: it cannot be reached, or has an error of its own.
        """
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        # Backends set it for their engines.
        os.environ.pop("HF_HUB_OFFLINE", None)
        # Not HfApi: loading it takes longer than all the rest of the client.
        from huggingface_hub import get_token
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
        from huggingface_hub.utils import (
            build_hf_headers,
            get_session,
            hf_raise_for_status,
            validate_repo_id,
        )

        self._token = self._token or get_token() or ""  # of HF_TOKEN_PATH
        revision = quote(self._revision, safe="")
        url = f"{self._endpoint}/api/models/{self._repository}/revision/{revision}"
        try:
            validate_repo_id(self._repository)
            headers = build_hf_headers(token=self._token or False)
            answer = get_session().get(
                url, params={"blobs": True}, headers=headers, timeout=_SECONDS
            )
            hf_raise_for_status(answer)
            info = answer.json()
            commit: str = info.get("sha") or ""
            siblings: list[dict[str, Any]] = info.get("siblings") or []
        except HfHubHTTPError as exc:
            refused = exc.response
            headers = {} if refused is None else dict(refused.headers)
            status = 0 if refused is None else refused.status_code
            if status in (0, 408, 429) or status >= 500:
                what = f"answered {status or without_secrets(str(exc))}"
                raise self._transient(what, status) from exc
            raise self._explained(status, headers) from exc
        except HFValidationError as exc:
            raise DownloadError(Reason.BAD_SOURCE, without_secrets(str(exc))) from exc
        except Exception as exc:
            raise self._unreachable(exc) from exc
        self._commit = commit or self._revision
        files = [self._file(each) for each in siblings]
        return listing_of(files, commit, f"{self._endpoint}/{self._repository}")

    def _file(self, each: Mapping[str, Any]) -> RemoteFile:
        path: str = each.get("rfilename", "")
        size: int | None = each.get("size")
        blob: str = each.get("blobId") or ""
        sha256: str = (each.get("lfs") or {}).get("sha256") or ""
        if size is None:  # a mirror that ignores ?blobs=true
            return self._asked(path)
        digest = f"sha256:{sha256}" if sha256 else (f"git:{blob}" if len(blob) == 40 else "")
        return RemoteFile(path, size, digest)

    def _asked(self, path: str) -> RemoteFile:
        """Returns a file by the headers of its own answer; the first ones have hash and size."""
        file = RemoteFile(path, 0)
        url, headers = self.address(file)
        try:
            response, _ = self._http.send(url, headers, "HEAD")
        except Refused as exc:
            raise self.refusal(exc, file) from exc
        size = response.headers.get("X-Linked-Size") or response.headers.get("Content-Length")
        tag = response.headers.get("X-Linked-Etag") or response.headers.get("ETag") or ""
        response.release_conn()
        if not (size or "").isdecimal():
            raise DownloadError(
                Reason.BAD_SOURCE,
                f"{self._host} does not say how large {path} is",
                "use a mirror that passes on the headers of the Hub",
            )
        tag = tag.removeprefix("W/").strip('"')
        kind = {64: "sha256:", 40: "git:"}.get(len(tag)) if _HEX.fullmatch(tag) else None
        return RemoteFile(path, int(size or 0), f"{kind}{tag}" if kind else "")

    def address(self, file: RemoteFile) -> tuple[str, Mapping[str, str]]:
        """Returns the address of a file at the commit, and the token for the Hub."""
        commit = quote(self._commit, safe="")
        url = f"{self._endpoint}/{self._repository}/resolve/{commit}/{quote(file.path)}"
        return url, {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def refusal(self, answer: Refused, file: RemoteFile) -> DownloadError:
        """Returns the failure for an answer to a request for a file."""
        headers = {name.lower(): value for name, value in answer.headers.items()}
        if answer.status == 404 and headers.get("x-error-code") in (None, "EntryNotFound"):
            return DownloadError(
                Reason.CHANGED,
                f"{answer.host} lists {file.path} and answers 404 for it",
                "start again; if it stays, the mirror is incomplete",
            )
        return self._explained(answer.status, headers)

    @property
    def _host(self) -> str:
        return urlsplit(self._endpoint).netloc.rpartition("@")[2]

    def _explained(self, status: int, headers: Mapping[str, str]) -> DownloadError:
        code = headers.get("x-error-code", "")
        page = f"{self._endpoint}/{self._repository}"
        name = self._repository
        if code == "GatedRepo":
            step = f"accept the licence at {page}"
            if not self._token:
                step += ", and put a token of that account into HF_TOKEN"
            return DownloadError(Reason.GATED, f"{name} is gated", step)
        if code == "RevisionNotFound":
            return DownloadError(
                Reason.NO_REVISION,
                f"{name} has no revision {self._revision!r}",
                f"set HF_REVISION to a branch, tag or commit of {page}/commits/main",
            )
        if status == 401 and not self._token:
            return DownloadError(
                Reason.NO_TOKEN,
                f"{self._host} asks for a token: {name} is private or does not exist",
                "put a token into HF_TOKEN (a Secret in envFrom), or correct the name",
            )
        if status == 401:
            return DownloadError(
                Reason.NO_TOKEN,
                f"{self._host} does not accept the token for {name}",
                "create a new one with read access, and put it into HF_TOKEN",
            )
        if status == 403:
            return DownloadError(
                Reason.ACCESS_DENIED,
                f"{self._host} denies access to {name}",
                "use a token with read access to this repository",
            )
        if status == 404:
            return DownloadError(
                Reason.NOT_FOUND,
                f"{self._host} has no repository {name}",
                "correct the name; a private one needs a token in HF_TOKEN",
            )
        return DownloadError(Reason.UNREACHABLE, f"{self._host} answered {status} for {name}")

    def _transient(self, what: str, status: int = 0) -> TransientError:
        final = None
        if status == 429:
            step = "wait, or set HF_TOKEN: anonymous clients have a lower limit"
            message = f"{self._host} limits the number of requests (429)"
            final = DownloadError(Reason.QUOTA, message, step)
        return TransientError(f"{self._host} {what}", final=final)

    def _unreachable(self, exc: Exception) -> Exception:
        """Returns the failure for an error of the client's HTTP library, whichever that is."""
        text = without_secrets(str(exc))
        if "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text.lower():
            return tls_error(self._host, exc)
        return self._transient(f"cannot be reached: {text}")
