"""Converts a ModelBooster into its children.

* ``child_drafts`` returns the kind, name and spec of each child. Admission calls it, because
  every conversion fault is raised there.
* ``desired_children`` adds labels, owner reference and revision, and returns ``Desired`` records
  (``app.model.children``): the kind, the whole object, and ``replica_bounds``.
* ``replica_bounds`` is None if we set ``spec.replicas``. If an autoscaler sets it, the bounds are
  (minimum, maximum). The object then holds the minimum, and the revision does not cover
  ``replicas``. Before the object is sent, the live value, clamped to the bounds, must replace it.
* The API server lets no client change or remove the ``gangPolicy`` of a stored ModelServing.
  ``gang.keep_gang_policy`` tells whether it fits the new roles; if not, the ModelServing must be
  deleted and created again.
* Backends of types that are not served yet have no children. Neither do policies that the
  installed autoscaler cannot follow (``app.model.roles.autoscaled``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.apis.kinds import Profile
from app.convert.autoscaling import autoscaling_policies, autoscaling_policy_bindings
from app.convert.model_route import model_routes
from app.convert.model_server import model_servers
from app.convert.model_serving import model_servings
from app.convert.options import Options
from app.model.children import Desired, Draft, check_size, stamped
from app.model.forms import Model

Converter = Callable[[Model, Profile, Options], Iterator[Draft]]

CONVERTERS: tuple[Converter, ...] = (
    autoscaling_policies,
    autoscaling_policy_bindings,
    model_servings,
    model_servers,
    model_routes,
)
"""One converter for each kind of child, in the order of rendering."""


def child_drafts(model: Model, profile: Profile, options: Options) -> list[Draft]:
    """Returns the drafts of all children of a ModelBooster.

    Args:
        model: its canonical form.
        profile: the profile of the children, which depends on the installed kthena release.
        options: the settings of the cluster operator.

    Raises:
        SpecError: a field cannot be converted, or a child would be too large to be stored. Its
            fault names the field and the reason.
    """
    found = []
    for convert in CONVERTERS:
        for draft in convert(model, profile, options):
            check_size(draft)
            found.append(draft)
    return found


def desired_children(model: Model, profile: Profile, options: Options) -> list[Desired]:
    """Returns all children of a ModelBooster; raises like ``child_drafts``."""
    return [stamped(model, draft) for draft in child_drafts(model, profile, options)]
