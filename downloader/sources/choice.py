"""Which source a URI means."""

from __future__ import annotations

import os

from downloader.http_client import Http
from downloader.settings import CA_NAMES, Settings
from downloader.sources.base import Source
from downloader.sources.hugging_face import HuggingFace
from downloader.sources.local import LocalFolder
from downloader.sources.model_scope import ModelScope
from downloader.sources.s3 import Bucket


def source_of(settings: Settings) -> Source:
    """Returns the source of a run.

    Raises:
        DownloadError: its name or its credentials cannot work.
    """
    if settings.scheme == "pvc":
        return LocalFolder(settings)
    if settings.ca_file:
        # Each client knows only some of the names.
        for name in CA_NAMES:
            os.environ.setdefault(name, settings.ca_file)
    http = Http(settings.workers, settings.ca_file)
    if settings.scheme == "hf":
        return HuggingFace(settings, http)
    if settings.scheme == "ms":
        return ModelScope(settings, http)
    return Bucket(settings, http)
