"""What to download and how: options, the JSON of ``--config``, and environment variables.

The names of kthena's downloader come first; after them, those that the clients of the sources know.
A value in ``--config`` wins over the environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from downloader.errors import DownloadError, Reason
from downloader.manifest import Request
from downloader.sizes import GIB

WORKERS = 8
MAX_WORKERS = 64
MAX_FILES = 100_000
MAX_BYTES = 20_000 * GIB

NAMES = {
    "hf_token": ("HF_AUTH_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN"),
    "hf_endpoint": ("HF_ENDPOINT",),
    "hf_revision": ("HF_REVISION",),
    "ms_token": ("MS_TOKEN", "MODELSCOPE_API_TOKEN", "MODELSCOPE_TOKEN"),
    "ms_revision": ("MS_REVISION",),
    "ms_endpoint": ("MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN"),
    "access_key": ("ACCESS_KEY",),
    "secret_key": ("SECRET_KEY",),
    "endpoint": ("ENDPOINT",),
}
"""By key of ``--config``, the environment variables that fill it, the first that is set."""

_AWS_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")

CA_NAMES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE")
"""Variables that name a file with certificate authorities; each client knows only some."""

_SCHEMES = ("hf", "ms", "s3", "obs", "pvc")
_REFUSED = {
    "gs": "copy the model to s3://, or use s3:// with ENDPOINT=https://storage.googleapis.com and "
    "HMAC keys in ACCESS_KEY and SECRET_KEY",
    "oci": "mount the image as a volume, or push the model to a hub or bucket",
    "http": "write hf://owner/name for a model of Hugging Face",
    "https": "write hf://owner/name for a model of Hugging Face",
}


@dataclass(frozen=True)
class Settings:
    """What one run downloads.

    Args:
        source: URI of the model as written.
        workers: requests at a time.
        values: configuration by key; keys of ``NAMES``.
        max_files: most files that a source may list.
        max_bytes: most bytes that a source may list.
        ca_file: file with additional certificate authorities.
    """

    source: str
    workers: int = WORKERS
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_files: int = MAX_FILES
    max_bytes: int = MAX_BYTES
    ca_file: str = ""

    @property
    def scheme(self) -> str:
        """The kind of source; a text without ``://`` is a model of Hugging Face."""
        return self.source.partition("://")[0] if "://" in self.source else "hf"

    @property
    def name(self) -> str:
        """The source without its scheme and without slashes around it."""
        return self.source.rpartition("://")[2].strip("/")

    def value(self, key: str) -> str:
        """Returns a configured value; ``""`` if there is none."""
        return self.values.get(key, "")

    @property
    def revision(self) -> str:
        """The revision that is asked for; ``""`` for the default."""
        return self.value(f"{self.scheme}_revision")

    @property
    def endpoint(self) -> str:
        """The address of the source's server; ``""`` for the default."""
        key = {"hf": "hf_endpoint", "ms": "ms_endpoint"}.get(self.scheme, "endpoint")
        return self.value(key) if self.scheme != "pvc" else ""

    @property
    def request(self) -> Request:
        """What is asked for, as the manifest records it."""
        url = urlsplit(self.endpoint)
        public = url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="")
        return Request(self.source, self.revision, public.geturl())


def settings_of(
    source: str,
    workers: int,
    config: str | None,
    environment: Mapping[str, str],
    max_files: int = MAX_FILES,
    max_bytes: int = MAX_BYTES,
) -> Settings:
    """Returns the settings of a run.

    Raises:
        DownloadError: a value cannot work; the message names it.
    """
    given = _config(config)
    values = {}
    for key, names in NAMES.items():
        candidates = (given.get(key), *(environment.get(name) for name in names))
        values[key] = next((text.strip() for text in candidates if text and text.strip()), "")
    if not values["endpoint"]:
        values["endpoint"] = next(filter(None, map(environment.get, _AWS_ENDPOINTS)), "")
    ca_file = next(filter(None, map(environment.get, CA_NAMES)), "")
    settings = Settings(source.strip(), workers, values, max_files, max_bytes, ca_file)
    _check(settings)
    return settings


def _config(text: str | None) -> dict[str, str]:
    if not text:
        return {}
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        step = f'write an object with some of {", ".join(NAMES)}, such as {{"hf_token": "…"}}'
        raise DownloadError(Reason.USAGE, "Invalid configuration JSON format.", step)
    return {str(key): str(value) for key, value in data.items() if value is not None}


def _check(settings: Settings) -> None:
    scheme = settings.scheme
    if scheme not in _SCHEMES:
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        step = _REFUSED.get(scheme, f"use one of {known}")
        raise DownloadError(
            Reason.BAD_SOURCE,
            f"the source {settings.source!r} has the scheme {scheme}://, and there are {known}",
            step,
        )
    if not settings.name:
        what = "No path specified in PVC URI" if scheme == "pvc" else "the source names no model"
        raise DownloadError(
            Reason.BAD_SOURCE, f"{what}: {settings.source!r}", f"write {scheme}://…/…"
        )
    endpoint = settings.endpoint
    if scheme == "ms" and endpoint and "://" not in endpoint:
        return  # MODELSCOPE_DOMAIN is a name of a host in older clients
    if endpoint and urlsplit(endpoint).scheme not in ("http", "https"):
        raise DownloadError(
            Reason.BAD_ENDPOINT,
            f"the endpoint {endpoint!r} has no scheme",
            f"write https://{endpoint.rpartition('://')[2]}, or http:// for a server without TLS",
        )
    if endpoint and not urlsplit(endpoint).hostname:
        raise DownloadError(
            Reason.BAD_ENDPOINT, f"the endpoint {endpoint!r} names no host", "write https://HOST"
        )
    if scheme == "obs" and not endpoint:
        raise DownloadError(
            Reason.BAD_ENDPOINT,
            "obs:// needs the address of its region",
            "set ENDPOINT, such as https://obs.cn-north-4.myhuaweicloud.com",
        )
