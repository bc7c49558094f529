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
    warmups,
)
from app.validation.rules.models import addresses, credentials, memory, tasks
from app.validation.rules.running import encryption, engine_flags, images, metrics, parallel, sglang
from app.validation.rules.scaled import readers, targets

RULES: tuple[Rule, ...] = (
    # Shape: the CRD has the same rules.
    shape.spec_is_there,  # otherwise there is nothing to serve
    shape.one_form_of_backends,  # otherwise one of the two would be ignored
    shape.replicas_or_bounds,  # otherwise the number of replicas is unknown
    shape.replica_bounds_in_order,  # otherwise no number is in range
    shape.workers_fit_type,  # otherwise a role has no pods, or two kinds
    shape.lora_names_differ_within_backend,  # otherwise the engine loads one of the two
    shape.grace_period_in_range,  # otherwise Go programs cannot parse it
    shape.panic_policy_is_absent,  # otherwise it would be ignored
    shape.behavior_is_absent,  # otherwise it would be ignored
    # Replicas and what scales them.
    scaling.one_level_of_policies,  # otherwise two autoscalers write the same replicas
    scaling.replicas_are_bounds_under_policy,  # otherwise the autoscaler cannot scale
    scaling.bounds_are_equal_without_policy,  # otherwise maxReplicas has no effect
    scaling.backend_policy_keeps_one_replica,  # otherwise no pod reports metrics to wake it
    scaling.model_policy_keeps_one_replica,  # otherwise no pod reports metrics to wake it
    scaling.model_policy_has_costs,  # otherwise the autoscaler cannot compare backends
    scaling.costs_have_model_policy,  # otherwise the cost would be ignored
    scaling.grace_period_has_model_policy,  # otherwise it would be ignored
    scaling.replicas_add_up,  # otherwise 32-bit counters could overflow
    scaling.metric_names_differ,  # otherwise kthena's webhook rejects the AutoscalingPolicy
    scaling.metric_targets_are_positive,  # otherwise the autoscaler divides by 0
    metrics.scaled_engines_report_metrics,  # otherwise the autoscaler has nothing to scale by
    # What the pods run.
    engines.images_are_named,  # otherwise the API server rejects the pods
    engines.images_are_references,  # otherwise no pod starts
    engines.config_is_plain,  # otherwise no command line can hold it
    engines.arguments_are_said_once,  # otherwise one of the two wins silently
    engines.engine_ports_agree,  # otherwise the ModelServer sends requests to a closed port
    engines.sidecar_has_a_port,  # otherwise the sidecar or the engine cannot listen
    engines.served_names_agree,  # otherwise one role rejects the requests
    engines.adapters_are_named_once,  # otherwise one of the two wins silently
    encryption.keys_have_certificates,  # otherwise the engine ends at once
    sglang.sglang_roles_are_routed,  # otherwise the router answers no request
    sglang.bootstrap_port_is_the_default,  # otherwise decode waits for its input forever
    engine_flags.annotations_are_valid,  # otherwise they would be ignored
    engine_flags.arguments_fit_engine,  # otherwise the engine exits after the download
    engine_flags.arguments_fit_together,  # otherwise the engine exits after the download
    engines.transfers_fit,  # otherwise prefill cannot transfer its cache to decode
    addresses.addresses_have_their_form,  # otherwise the download fails, after all retries
    engines.caches_are_usable,  # otherwise no pod starts, or it may write anywhere on the node
    engines.claims_hold_their_models,  # otherwise the engine does not find the model
    warmups.warmups_can_work,  # otherwise it would be ignored
    # Pods that the API server would reject.
    environment.variables_have_names,  # otherwise the API server rejects the pods
    environment.variables_have_one_source,  # otherwise the API server rejects the pods
    sources.sources_can_be_read,  # otherwise the API server rejects the pods
    environment.env_from_names_one_object,  # otherwise the API server rejects the pods
    environment.sidecar_finds_its_engine,  # otherwise the sidecar cannot read the engine's metrics
    amounts.resource_names_are_known,  # otherwise the API server rejects the pods
    amounts.amounts_are_possible,  # otherwise the API server rejects the pods
    amounts.requests_fit_limits,  # otherwise the API server rejects the pods
    amounts.huge_pages_have_company,  # otherwise the API server rejects the pods
    amounts.claims_are_absent,  # otherwise the API server rejects the pods
    placement.tolerations_are_sound,  # otherwise the API server rejects the pods
    placement.node_affinity_is_sound,  # otherwise the API server rejects the pods
    placement.pod_affinity_is_sound,  # otherwise the API server rejects the pods
    placement.runtime_class_is_a_name,  # otherwise the API server rejects the pods
    warmups.warmup_placement_is_sound,  # otherwise the API server rejects the Jobs
    # Names and routes.
    routing.names_leave_room,  # otherwise kthena rejects the ModelServing, or creates no pods
    routing.lora_names_differ_from_model,  # otherwise the router never finds the adapter
    routing.lora_names_are_few,  # otherwise the API server rejects the ModelRoute
    routing.some_backend_has_weight,  # otherwise the router cannot send requests anywhere
    routing.adapters_are_reachable,  # otherwise the API server rejects the ModelRoute
    routing.match_patterns_compile,  # otherwise kthena rejects the ModelRoute
    others.route_is_ours,  # otherwise a foreign ModelRoute would be overwritten
    others.model_name_is_free,  # otherwise requests may reach either model
    others.generated_names_are_free,  # otherwise two ModelBoosters overwrite each other's children
)

ADMISSION_ONLY: frozenset[Rule] = frozenset(
    {
        metrics.scaled_engines_report_metrics,
        sglang.sglang_roles_are_routed,
        sglang.bootstrap_port_is_the_default,
        engine_flags.annotations_are_valid,
        engine_flags.arguments_fit_engine,
        engine_flags.arguments_fit_together,
        encryption.keys_have_certificates,
        addresses.addresses_have_their_form,
    }
)
"""Rules that came after objects were stored that break them.

They reject new faults only. The controller does not check them, so it goes on serving these
objects.
"""

CONTROLLER_RULES: tuple[Rule, ...] = tuple(rule for rule in RULES if rule not in ADMISSION_ONLY)
"""The rules that a stored object must meet."""

ADVICE: tuple[Advice, ...] = (
    advice.types_are_served,  # what will not be served
    others.names_were_compared,
    others.model_name_is_free_elsewhere,
    others.lora_names_are_free,
    parallel.devices_fit_parallelism,  # what will not start
    memory.models_fit_their_devices,
    memory.states_are_not_published,
    engine_flags.releases_are_known,
    engine_flags.arguments_are_current,
    engine_flags.several_nodes_can_start,
    sglang.sglang_roles_need_a_release,
    sglang.engines_listen_for_other_pods,
    credentials.gated_models_have_tokens,
    credentials.object_storage_has_keys,
    environment.nixl_is_reachable,
    environment.old_servers_know_the_names,
    environment.env_files_are_known,
    encryption.router_speaks_http,
    tasks.tasks_are_routed,
    advice.connectors_are_known,
    advice.autoscaler_finds_pods,  # what will not scale
    readers.policies_are_read,
    readers.backends_are_weighed,
    metrics.metrics_are_known,
    targets.engines_export_metrics,
    targets.metrics_go_up_and_down,
    targets.ranks_are_added_up,
    targets.targets_are_below_the_limit,
    targets.one_target_fits_all,
    metrics.engines_report_metrics,
    advice.somebody_wakes_it,
    advice.bounds_have_policy,
    advice.cost_rate_has_policy,  # what is ignored
    advice.gangs_have_their_scheduler,
    environment.runtime_port_is_read,
    advice.counts_are_not_zero,
    advice.pods_mean_something,
    warmups.warmups_are_done,
    advice.nodes_share_no_host_path,
    images.images_stay_the_same,
)

UPDATE_ADVICE: tuple[UpdateAdvice, ...] = (
    changes.backends_are_deleted,
    changes.route_is_replaced,
    changes.types_change,
    changes.gangs_are_resized,
    changes.policies_change_level,
    changes.pods_are_restarted,
    changes.endpoints_change,
)
