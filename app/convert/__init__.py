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

from app.apis.kinds import MODEL_SERVER, Profile
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
"""One for each kind of child, in the order in which children are rendered."""


def child_drafts(model: Model, profile: Profile, options: Options) -> list[Draft]:
    """Returns what everything says that should be there for a ModelBooster.

    Args:
        model: what it means.
        profile: the shape of the children, by the release of kthena that is installed.
        options: what the operator of the cluster chose.

    Raises:
        SpecError: something in it cannot be turned into a child, or the child could not be
            stored; the fault says where and why.
    """
    found = []
    for convert in CONVERTERS:
        for draft in convert(model, profile, options):
            if draft.resource is not MODEL_SERVER:  # names and numbers, none of which is long
                check_size(draft)
            found.append(draft)
    return found


def desired_children(model: Model, profile: Profile, options: Options) -> list[Desired]:
    """Returns everything that should be there for a ModelBooster; raises like ``child_drafts``."""
    return [stamped(model, draft) for draft in child_drafts(model, profile, options)]
