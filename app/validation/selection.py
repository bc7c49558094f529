"""Selects the rules that may find something in an object.

Most objects have no policy, no variables or no adapters, and a rule about these then finds nothing.
Three of five rules are left out of the review of a usual object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from app.validation.inputs import RuleInputs
from app.validation.rules import (
    advice,
    amounts,
    engines,
    environment,
    others,
    placement,
    routing,
    scaling,
    shape,
    sources,
    warmups,
)
from app.validation.rules.models import credentials, memory
from app.validation.rules.running import encryption, engine_flags, metrics, parallel, sglang
from app.validation.rules.scaled import readers, targets
from app.validation.subjects import Subject

_ABOUT: dict[tuple[Subject, ...], tuple[Callable[[RuleInputs], Any], ...]] = {
    (Subject.POLICY,): (
        shape.panic_policy_is_absent,
        shape.behavior_is_absent,
        scaling.one_level_of_policies,
        scaling.replicas_are_bounds_under_policy,
        scaling.backend_policy_keeps_one_replica,
        scaling.model_policy_keeps_one_replica,
        scaling.model_policy_has_costs,
        scaling.metric_names_differ,
        scaling.metric_targets_are_positive,
        metrics.metrics_are_known,
        readers.policies_are_read,
        readers.backends_are_weighed,
        targets.engines_export_metrics,
        targets.metrics_go_up_and_down,
        targets.ranks_are_added_up,
        targets.targets_are_below_the_limit,
        targets.one_target_fits_all,
        advice.bounds_have_policy,
    ),
    (Subject.CONFIG,): (
        engines.config_is_plain,
        engines.arguments_are_said_once,
        engines.engine_ports_agree,
        engines.served_names_agree,
        encryption.keys_have_certificates,
        encryption.router_speaks_http,
        engine_flags.arguments_fit_engine,
        engine_flags.arguments_fit_together,
        engine_flags.arguments_are_current,
        sglang.engines_listen_for_other_pods,
        metrics.engines_report_metrics,
    ),
    (Subject.NODES,): (engine_flags.several_nodes_can_start,),
    (Subject.DISAGGREGATED,): (sglang.sglang_roles_are_routed, sglang.sglang_roles_need_a_release),
    (Subject.ADAPTERS,): (
        shape.lora_names_differ_within_backend,
        routing.lora_names_differ_from_model,
        routing.lora_names_are_few,
        routing.adapters_are_reachable,
    ),
    (Subject.ENVIRONMENT,): (
        environment.variables_have_names,
        environment.variables_have_one_source,
        sources.sources_can_be_read,
        environment.env_from_names_one_object,
        environment.sidecar_finds_its_engine,
        environment.nixl_is_reachable,
        environment.old_servers_know_the_names,
        environment.env_files_are_known,
        environment.runtime_port_is_read,
    ),
    (Subject.RESOURCES,): (
        amounts.resource_names_are_known,
        amounts.amounts_are_possible,
        amounts.requests_fit_limits,
        amounts.huge_pages_have_company,
        amounts.claims_are_absent,
        parallel.devices_fit_parallelism,
        memory.models_fit_their_devices,
    ),
    (Subject.PLACEMENT,): (
        placement.tolerations_are_sound,
        placement.node_affinity_is_sound,
        placement.pod_affinity_is_sound,
        placement.runtime_class_is_a_name,
    ),
    (Subject.OBJECT_STORAGE,): (credentials.object_storage_has_keys,),
    (Subject.WARMUP,): (
        warmups.warmups_can_work,
        warmups.warmup_placement_is_sound,
        warmups.warmups_are_done,
    ),
    (Subject.OTHERS,): (
        others.route_is_ours,
        others.model_name_is_free,
        others.generated_names_are_free,
        others.names_were_compared,
        others.model_name_is_free_elsewhere,
    ),
    (Subject.POLICY, Subject.CONFIG): (metrics.scaled_engines_report_metrics,),
    (Subject.POLICY, Subject.DISAGGREGATED): (advice.autoscaler_finds_pods,),
    (Subject.CONFIG, Subject.DISAGGREGATED): (
        engines.transfers_fit,
        sglang.bootstrap_port_is_the_default,
        advice.connectors_are_known,
    ),
    (Subject.CONFIG, Subject.ADAPTERS): (engines.adapters_are_named_once,),
    (Subject.NODES, Subject.DISAGGREGATED): (advice.pods_mean_something,),
    (Subject.ADAPTERS, Subject.OTHERS): (others.lora_names_are_free,),
}
"""The rules and pieces of advice that find nothing in an object that lacks one of the subjects."""

_NEEDED = {rule: subjects for subjects, rules in _ABOUT.items() for rule in rules}

_Rule = TypeVar("_Rule", bound=Callable[[RuleInputs], Any])


class Selection(Generic[_Rule]):
    """Rules, and those of them for each set of subjects.

    Args:
        rules: the rules, in the order in which users see what they find.
    """

    def __init__(self, rules: tuple[_Rule, ...]) -> None:
        self._rules = rules
        self._selected: dict[tuple[bool, ...], tuple[_Rule, ...]] = {}  # at most 2 ** len(Subject)

    def about(self, subjects: tuple[bool, ...]) -> tuple[_Rule, ...]:
        """Returns the rules that may find something in an object.

        Args:
            subjects: whether it has each subject, in the order of ``Subject``.
        """
        found = self._selected.get(subjects)
        if found is None:
            missing = {subject for subject, has in zip(Subject, subjects, strict=True) if not has}
            found = tuple(r for r in self._rules if missing.isdisjoint(_NEEDED.get(r, ())))
            self._selected[subjects] = found
        return found
