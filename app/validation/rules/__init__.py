"""Every rule and every warning, in the order in which users see them.

The comment of a rule says what would go wrong without it.
"""

from __future__ import annotations

from app.validation.inputs import Advice, Rule, UpdateAdvice
from app.validation.rules import (
    advice,
    amounts,
    changes,
    engines,
    environment,
    others,
    placement,
    routing,
    scaling,
    shape,
    sources,
)

RULES: tuple[Rule, ...] = (
    # Shape: the CRD says these first.
    shape.spec_is_there,  # else there is nothing to serve
    shape.one_form_of_backends,  # else one of the two would be ignored
    shape.replicas_or_bounds,  # else nobody knows how many replicas to make
    shape.replica_bounds_in_order,  # else the autoscaler has no number to choose
    shape.workers_fit_type,  # else a role has no pods, or two kinds of them
    shape.lora_names_differ_within_backend,  # else the engine loads one of the two
    shape.grace_period_in_range,  # else the value means nothing to a Go program
    shape.panic_policy_is_absent,  # else it would be ignored
    shape.behavior_is_absent,  # else it would be ignored
    # Replicas and what scales them.
    scaling.one_level_of_policies,  # else two autoscalers write the same replicas
    scaling.replicas_are_bounds_under_policy,  # else the autoscaler has no room
    scaling.bounds_are_equal_without_policy,  # else maxReplicas would never be reached
    scaling.backend_policy_keeps_one_replica,  # else no pod is left whose metrics could wake it
    scaling.model_policy_keeps_one_replica,  # else no pod is left at all, as above
    scaling.model_policy_has_costs,  # else the autoscaler cannot compare backends
    scaling.costs_have_model_policy,  # else the cost would be ignored
    scaling.grace_period_has_model_policy,  # else it would be ignored
    scaling.replicas_add_up,  # else the sum leaves what 32-bit counters were made for
    scaling.metric_names_differ,  # else kthena's webhook refuses the AutoscalingPolicy
    scaling.metric_targets_are_positive,  # else the autoscaler divides by 0
    # What the pods run.
    engines.images_are_named,  # else the API server refuses the pods
    engines.images_are_references,  # else no pod starts
    engines.config_is_plain,  # else no command line can hold it
    engines.arguments_are_said_once,  # else one of the two wins silently
    engines.engine_ports_agree,  # else the ModelServer sends requests to a closed port
    engines.sidecar_has_a_port,  # else sidecar or engine finds its port taken
    engines.served_names_agree,  # else one role does not know the model it is asked for
    engines.adapters_are_named_once,  # else one of the two wins silently
    engines.transfers_fit,  # else prefill cannot hand its cache to decode
    engines.caches_are_usable,  # else no pod starts, or users write where they must not
    engines.claims_hold_their_models,  # else the engine does not find the model
    # What the API server would refuse their pods for.
    environment.variables_have_names,  # else no pod can be made
    environment.variables_have_one_source,  # else no pod can be made
    sources.sources_can_be_read,  # else no pod can be made
    environment.env_from_names_one_object,  # else no pod can be made
    environment.sidecar_finds_its_engine,  # else nobody measures the engine
    amounts.resource_names_are_known,  # else no pod can be made
    amounts.amounts_are_possible,  # else no pod can be made
    amounts.requests_fit_limits,  # else no pod can be made
    amounts.huge_pages_have_company,  # else no pod can be made
    amounts.claims_are_absent,  # else no pod can be made
    placement.tolerations_are_sound,  # else no pod can be made
    placement.node_affinity_is_sound,  # else no pod can be made
    placement.pod_affinity_is_sound,  # else no pod can be made
    placement.runtime_class_is_a_name,  # else no pod can be made
    # Names and routes.
    routing.names_leave_room,  # else kthena refuses the ModelServing, or pods never appear
    routing.lora_names_differ_from_model,  # else the router never finds the adapter
    routing.lora_names_are_few,  # else the ModelRoute is refused
    routing.some_backend_has_weight,  # else the router has nowhere to send a request
    routing.adapters_are_reachable,  # else the ModelRoute is refused
    routing.match_patterns_compile,  # else kthena refuses the ModelRoute
    others.route_is_ours,  # else somebody's route would be overwritten
    others.model_name_is_free,  # else requests reach the one or the other model
    others.generated_names_are_free,  # else two ModelBoosters fight over one object
)

ADVICE: tuple[Advice, ...] = (
    advice.types_are_served,  # what will not be served
    others.names_were_compared,
    others.model_name_is_free_elsewhere,
    others.lora_names_are_free,
    advice.devices_fit_parallelism,  # what will not start
    advice.gated_models_have_tokens,
    environment.old_servers_know_the_names,
    environment.env_files_are_known,
    advice.connectors_are_known,
    advice.autoscaler_finds_pods,  # what will not scale
    advice.somebody_wakes_it,
    advice.bounds_have_policy,
    advice.cost_rate_has_policy,  # what is ignored
    advice.gangs_have_their_scheduler,
    environment.runtime_port_is_read,
    advice.counts_are_not_zero,
    advice.pods_mean_something,
    advice.nodes_share_no_host_path,
)

UPDATE_ADVICE: tuple[UpdateAdvice, ...] = (
    changes.backends_are_deleted,
    changes.route_is_replaced,
    changes.types_change,
    changes.gangs_are_resized,
    changes.policies_change_level,
    changes.pods_are_restarted,
)
