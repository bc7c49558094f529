"""What a ModelBooster turns into.

For whoever writes children into a cluster:

* ``drafts`` returns what each child says: kind, name and spec. ``desired_children`` stamps them
  with labels, owner and revision, and returns ``Desired`` records (``app.model.children``): the
  kind, the whole object, and ``replica_bounds``. Admission asks for the drafts: whatever can go
  wrong with a conversion goes wrong there.
* ``replica_bounds`` is None where we decide about ``spec.replicas``. Where an autoscaler does, it
  is (fewest, most): the object holds the fewest, the revision label leaves ``replicas`` out, and
  what is sent must hold the live value, clamped into the bounds.
* A stored ``gangPolicy`` of a ModelServing can be neither changed nor removed. ``gang.kept`` says
  whether it can be sent back with the new roles; else the ModelServing is deleted and made anew.
* SpecError carries the fault. Backends of types that are not served yet are left out, as are
  policies that the installed autoscaler could not follow (``derive.autoscaled``).
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


def drafts(model: Model, profile: Profile, options: Options) -> list[Draft]:
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
    """Returns everything that should be there for a ModelBooster; raises like ``drafts``."""
    return [stamped(model, draft) for draft in drafts(model, profile, options)]
