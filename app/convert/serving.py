"""What the pods of one backend depend on, in one value."""

from __future__ import annotations

from dataclasses import dataclass

from app.apis.canonical import BackendForm, Model
from app.apis.children import Profile
from app.apis.storage import Cache, cache_of
from app.convert.options import Options


@dataclass(frozen=True, slots=True)
class Serving:
    """One backend on its way to becoming pods."""

    model: Model
    backend: BackendForm
    cache: Cache
    profile: Profile
    options: Options


def serving(model: Model, backend: BackendForm, profile: Profile, options: Options) -> Serving:
    """Returns what the pods of a backend depend on.

    Raises:
        SpecError: its cache cannot be mounted.
    """
    cache = cache_of(backend, options.host_path_prefixes)
    return Serving(model, backend, cache, profile, options)
