"""Models of ModelScope, listed by its own client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import quote_plus, urlsplit

from downloader.errors import DownloadError, Reason, TransientError, without_secrets
from downloader.http_client import Http, Refused
from downloader.settings import Settings
from downloader.sources.base import Listing, RemoteFile, listing_of
from downloader.sources.web import WebSource
from downloader.tls import tls_error

_PUBLIC = "https://modelscope.cn"
_CLIENT = {
    "MODELSCOPE_API_MAX_RETRIES": "1",
    "MODELSCOPE_REPO_TREE_PAGE_MAX_ATTEMPTS": "2",
    "MODELSCOPE_LOG_LEVEL": "ERROR",
}


class ModelScope(WebSource):
    """A model of ModelScope.

    Args:
        settings: what to download.
        http: the clients.

    Raises:
        DownloadError: the name is not one of a model.
    """

    def __init__(self, settings: Settings, http: Http) -> None:
        super().__init__(http)
        self._model = settings.name
        self._revision = settings.revision or "master"
        endpoint = settings.endpoint or _PUBLIC
        self._endpoint = (endpoint if "://" in endpoint else f"https://{endpoint}").rstrip("/")
        self._token = settings.value("ms_token")
        if self._model.count("/") != 1:
            raise DownloadError(
                Reason.BAD_SOURCE,
                f"{settings.source!r} does not name a model",
                "write ms://owner/name; for another revision set MS_REVISION",
            )

    def listing(self) -> Listing:
        """Returns all files of the revision.

        Raises:
            DownloadError: ModelScope refuses, by its reason.
            TransientError: it cannot be reached, or has an error of its own.
        """
        # The downloader tries again by itself, and logs in its own form.
        for name, value in _CLIENT.items():
            os.environ.setdefault(name, value)
        from modelscope_hub import HubApi
        from modelscope_hub.config import HubConfig
        from modelscope_hub.errors import APIError, HubError, NetworkError, ServerError

        # A token, even an empty one, keeps the client from reading its pickled cookies.
        api = HubApi(HubConfig(endpoint=self._endpoint, token=self._token))
        try:
            entries = api.list_repo_files(self._model, "model", revision=self._revision)
        except (NetworkError, ServerError) as exc:
            text = without_secrets(str(exc))
            if "certificate" in text.lower():
                raise tls_error(self._host, exc) from exc
            raise TransientError(f"{self._host}: {text}") from exc
        except APIError as exc:
            status = getattr(exc, "status_code", None) or 0
            if status == 429:
                raise TransientError(f"{self._host}: 429", final=self._explained(429)) from exc
            raise self._explained(status, without_secrets(exc.message)) from exc
        except HubError as exc:
            raise DownloadError(Reason.UNREACHABLE, without_secrets(str(exc))) from exc
        files = [
            RemoteFile(each.path, each.size, f"sha256:{each.sha256}" if each.sha256 else "")
            for each in entries
            if not each.is_dir
        ]
        return listing_of(files, "", f"{self._endpoint}/models/{self._model}")

    def address(self, file: RemoteFile) -> tuple[str, Mapping[str, str]]:
        """Returns the address of a file, and the token for ModelScope."""
        query = f"Revision={quote_plus(self._revision)}&FilePath={quote_plus(file.path)}"
        url = f"{self._endpoint}/api/v1/models/{self._model}/repo?{query}"
        if not self._token:
            return url, {}
        cookie = f"m_session_id={self._token}"
        return url, {"Authorization": f"Bearer {self._token}", "Cookie": cookie}

    def refusal(self, answer: Refused, file: RemoteFile) -> DownloadError:
        """Returns the failure for an answer to a request for a file."""
        if answer.status == 404:
            return DownloadError(
                Reason.CHANGED,
                f"{answer.host} lists {file.path} and answers 404 for it",
                "it changed during the download; start again",
            )
        return self._explained(answer.status)

    @property
    def _host(self) -> str:
        return urlsplit(self._endpoint).netloc.rpartition("@")[2]

    def _explained(self, status: int, text: str = "") -> DownloadError:
        name = self._model
        if status == 404 and "revision" in text.lower():
            return DownloadError(
                Reason.NO_REVISION,
                f"{name} has no revision {self._revision!r}",
                f"set MS_REVISION to one of {self._endpoint}/models/{name}/files",
            )
        if status == 404:
            return DownloadError(
                Reason.NOT_FOUND,
                f"{self._host} has no model {name} with the revision {self._revision!r}",
                "correct the name or MS_REVISION; a private model needs a token in MS_TOKEN",
            )
        if status == 401 or (status == 403 and not self._token):
            return DownloadError(
                Reason.NO_TOKEN,
                f"{self._host} asks for a valid token for {name}",
                "put one into MS_TOKEN (a Secret in envFrom)",
            )
        if status == 403:
            return DownloadError(
                Reason.ACCESS_DENIED,
                f"{self._host} denies access to {name}",
                f"ask for access at {self._endpoint}/models/{name}",
            )
        if status == 429:
            return DownloadError(
                Reason.QUOTA, f"{self._host} limits the number of requests (429)", "wait"
            )
        detail = f": {text}" if text else ""
        return DownloadError(
            Reason.UNREACHABLE, f"{self._host} answered {status} for {name}{detail}"
        )
