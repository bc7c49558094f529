"""All steps in their order. To add one, write a function of a ``Stage`` and name it here."""

from __future__ import annotations

from tests.pods.step import Step
from tests.pods.steps import certificates, disturbances, downloads, installation, takeover

STEPS = (
    Step("previous version, Helm 3, kthena v0.4.0", installation.previous_chart, under_load=False),
    Step("upgrade with another CRD, Helm 3", installation.upgrade),
    Step("rolling restart", disturbances.rolling_restart),
    Step("deleted webhook", disturbances.deleted_webhook),
    Step("killed process of a webhook", disturbances.killed_process, may_lose_in_hand=True),
    Step(
        "killed container of a webhook",
        disturbances.killed_webhook,
        may_lose_seconds=disturbances.KILLED_SECONDS,
    ),
    Step("killed leader", disturbances.killed_leader),
    Step("frozen leader", disturbances.frozen_leader),
    Step("new certificate authority", certificates.new_authority),
    Step("new serving certificates", certificates.new_leaves),
    Step(
        "frozen webhook",
        disturbances.frozen_webhook,
        may_lose_seconds=disturbances.probe_seconds(),
    ),
    Step("uninstall, Helm 3", installation.uninstall, under_load=False),
    Step(
        "reinstall by the README, Helm 4, kthena v1.0.0", installation.quick_start, under_load=False
    ),
    Step("docs/install.md, Helm 4", installation.quick_start_of_install, under_load=False),
    Step("one download for two pods of a node", downloads.once_on_a_node, under_load=False),
    Step("takeover from kthena's controller", takeover.from_kthena, under_load=False),
)
