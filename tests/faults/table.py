"""The faults that the program must survive, and the tests that inject them.

A test run prints this table with what became of each row. ``tests/unit/test_fault_table.py`` holds
it to the tests that exist; a row without any stands in ``OPEN`` and says what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

COMPONENT, FAULTS, UNIT, E2E = "tests/component/", "tests/faults/", "tests/unit/", "tests/e2e/"
WATCHING, REQUESTS = f"{FAULTS}test_watching.py::", f"{FAULTS}test_requests.py::"
RECONCILE = f"{COMPONENT}test_reconcile.py::"
BROKEN = f"{COMPONENT}test_reconcile_faults.py::"
DRIFT = f"{COMPONENT}test_reconcile_drift.py::"
OWNERSHIP = f"{COMPONENT}test_reconcile_ownership.py::"
STORMS = f"{COMPONENT}test_reconcile_storms.py::"
TWO = f"{COMPONENT}test_reconcile_two.py::"
RELEASES = f"{COMPONENT}test_reconcile_releases.py::"
CLOCK, ENDS, LATE, ORDER = (
    f"{FAULTS}test_{part}.py::" for part in ("clock", "ends", "late", "order")
)
TRAFFIC = f"{FAULTS}test_traffic.py::"
ANSWERS, SOCKETS = f"{COMPONENT}test_webhook_answers.py::", f"{COMPONENT}test_webhook_sockets.py::"
REVIEWS, FUZZ = f"{COMPONENT}test_review_properties.py::", f"{COMPONENT}test_webhook_fuzz.py::"
LEADER, KUBE = f"{COMPONENT}test_leader.py::", f"{COMPONENT}test_kube.py::"


@dataclass(frozen=True)
class Row:
    """One fault.

    Args:
        name: F01 and so on.
        fault: what goes wrong.
        tests: whoever injects it; ``path::function``.
    """

    name: str
    fault: str
    tests: tuple[str, ...]


ROWS: tuple[Row, ...] = (
    Row(
        "F01",
        "the API server restarts",
        (
            f"{WATCHING}test_f01_a_server_that_restarts_is_listed_once_at_most",
            f"{STORMS}test_an_api_server_that_was_away_is_taken_up_again",
            f"{STORMS}test_a_controller_that_begins_without_an_api_server",
        ),
    ),
    Row(
        "F02",
        "a watch is cut after any byte",
        (f"{WATCHING}test_f02_a_watch_that_is_cut_anywhere_loses_and_doubles_nothing",),
    ),
    Row(
        "F03",
        "a watch goes silent",
        (f"{WATCHING}test_f03_what_happens_while_a_watch_is_silent_is_seen_before_long",),
    ),
    Row(
        "F04",
        "410 Gone, as status and as event",
        (f"{WATCHING}test_f04_when_the_version_is_gone_everything_is_listed_and_nothing_flickers",),
    ),
    Row(
        "F05",
        "the server has not caught up with a version",
        (f"{WATCHING}test_f05_a_server_that_has_not_caught_up_is_asked_for_what_it_has",),
    ),
    Row(
        "F06",
        "streaming lists are refused or cut",
        (
            f"{WATCHING}test_f06_without_streaming_lists_there_are_plain_ones",
            f"{WATCHING}test_f06_a_server_that_refused_streaming_lists_is_not_asked_again",
        ),
    ),
    Row(
        "F07",
        "429 with any Retry-After",
        (
            f"{REQUESTS}test_f07_the_pause_that_a_busy_server_asks_for_is_passed_on",
            f"{WATCHING}test_f07_a_server_that_is_too_busy_to_watch_is_not_listed",
        ),
    ),
    Row(
        "F08",
        "bursts of 5xx",
        (
            f"{WATCHING}test_f08_a_watch_that_the_server_breaks_off_is_resumed_a_few_times",
            f"{WATCHING}test_f08_a_server_that_fails_now_and_then_is_neither_lost_nor_flooded",
            f"{BROKEN}test_a_server_that_is_busy_for_a_while_is_asked_again",
            f"{BROKEN}test_a_server_that_stays_busy_is_a_failure_until_it_is_well",
        ),
    ),
    Row(
        "F09",
        "every answer is late",
        (
            f"{WATCHING}test_f09_slow_answers_change_nothing_but_the_time",
            f"{LATE}test_f09_an_edit_before_the_answer_to_a_status_is_carried_out",
            f"{LATE}test_f09_what_is_made_again_before_the_answer_to_a_status_has_children",
            f"{LATE}test_f09_what_is_made_again_before_its_predecessor_is_known_to_be_gone_has_children",
            f"{LATE}test_f09_what_is_deleted_before_the_answer_to_its_making_comes_back",
            f"{LATE}test_f09_an_edit_before_the_answer_to_a_second_look_is_put_right",
            f"{BROKEN}test_a_pass_that_takes_long_says_so",
        ),
    ),
    Row(
        "F10",
        "a write succeeds and its answer is lost",
        (
            f"{REQUESTS}test_f10_a_write_whose_answer_was_lost_can_be_repeated",
            f"{BROKEN}test_a_lost_answer_costs_a_second_look_and_no_second_object",
        ),
    ),
    Row(
        "F11",
        "refused, unknown by name, not trusted",
        (
            f"{KUBE}test_a_server_that_is_not_there_is_unreachable",
            f"{KUBE}test_a_name_that_nobody_knows_is_unreachable",
            f"{KUBE}test_an_authority_that_was_replaced_on_disk_is_read_again",
        ),
    ),
    Row(
        "F12",
        "answers that make no sense",
        (
            f"{REQUESTS}test_f12_an_answer_that_makes_no_sense_is_none",
            f"{REQUESTS}test_f12_headers_without_end_are_not_read",
            f"{REQUESTS}test_f12_a_watch_is_never_read_past_a_line_that_makes_no_sense",
            f"{WATCHING}test_f12_an_event_that_cannot_be_read_is_not_skipped",
        ),
    ),
    Row(
        "F13",
        "events come twice",
        (f"{WATCHING}test_f13_events_that_come_twice_are_told_once",),
    ),
    Row(
        "F14",
        "kinds are told of in the wrong order",
        (
            f"{ORDER}test_f14_children_are_seen_before_their_model_booster",
            f"{ORDER}test_f14_a_child_is_deleted_before_its_making_was_seen",
            f"{ORDER}test_f14_a_child_loses_our_label_before_its_making_was_seen",
            f"{ORDER}test_f14_a_model_booster_is_gone_before_its_children_are_seen",
        ),
    ),
    Row(
        "F15",
        "events of one object in the wrong order",
        (f"{WATCHING}test_f15_events_in_the_wrong_order_are_found_by_the_audit",),
    ),
    Row(
        "F16",
        "only bookmarks for long",
        (f"{WATCHING}test_f16_bookmarks_move_on_where_a_watch_is_taken_up",),
    ),
    Row(
        "F17",
        "a long listing breaks off",
        (f"{WATCHING}test_f17_while_a_listing_breaks_off_the_old_one_is_kept",),
    ),
    Row(
        "F18",
        "the token changes on disk",
        (f"{KUBE}test_a_token_that_was_renewed_on_disk_costs_one_refusal",),
    ),
    Row(
        "F19",
        "the clock jumps, or is slow",
        (
            f"{CLOCK}"
            "test_f19_a_clock_that_is_set_moves_neither_the_lease_nor_a_condition_into_the_past",
            f"{CLOCK}test_f19_certificates_bear_it",
        ),
    ),
    Row(
        "F20",
        "the process stands still",
        (f"{LEADER}test_f20_a_process_that_stood_still_leads_on_or_ends",),
    ),
    Row(
        "F21",
        "renewals fail while a write is under way",
        (f"{LEADER}test_f21_no_write_lands_after_the_lease_has_run_out",),
    ),
    Row("F22", "two leaders at once", (f"{TWO}test_two_at_once_come_to_the_same",)),
    Row(
        "F23",
        "the Lease is deleted or edited",
        (
            f"{LEADER}test_f23_a_deleted_lease_is_made_anew_by_who_leads_and_nobody_else",
            f"{LEADER}test_f23_a_leader_whose_name_was_struck_out_ends",
            f"{LEADER}test_f23_an_edit_that_changes_nothing_of_ours_is_borne",
        ),
    ),
    Row(
        "F24",
        "the leader is cut off",
        (f"{LEADER}test_f24_a_leader_that_is_cut_off_ends_before_the_next_may_begin",),
    ),
    Row(
        "F25",
        "told to end in the middle of a pass",
        (f"{ENDS}test_f25_told_to_end_in_the_middle_of_a_pass",),
    ),
    Row(
        "F26",
        "killed after any request of a pass",
        (f"{TWO}test_whoever_follows_one_that_died_does_the_rest",),
    ),
    Row(
        "F27",
        "the lease is lost again and again",
        (f"{LEADER}test_f27_however_often_the_lease_is_lost_nobody_is_missing_in_the_end",),
    ),
    Row(
        "F28",
        "killed, and started again among many",
        (f"{ENDS}test_f28_killed_and_started_again_among_many",),
    ),
    Row(
        "F29",
        "a task in the background raises",
        (f"{COMPONENT}test_informer.py::test_f29_an_informer_that_is_broken_says_so_and_ends",),
    ),
    Row("F30", "409 again and again", (f"{BROKEN}test_conflicts_are_no_failures",)),
    Row(
        "F31",
        "a child kind is missing, goes and comes",
        (
            f"{WATCHING}"
            "test_f31_a_kind_that_does_not_exist_keeps_nobody_waiting_and_is_found_when_it_does",
            f"{RELEASES}test_a_kind_that_comes_and_goes",
        ),
    ),
    Row(
        "F32",
        "a child is refused",
        (
            f"{BROKEN}test_one_refused_child_is_named_and_the_others_are_made",
            f"{BROKEN}test_a_child_that_a_policy_of_the_cluster_refuses",
            f"{BROKEN}test_an_old_failure_is_no_obstacle_to_a_new_spec",
        ),
    ),
    Row(
        "F33",
        "a right is taken away and given back",
        (f"{BROKEN}test_one_refused_child_is_named_and_the_others_are_made",),
    ),
    Row(
        "F34",
        "the namespace is being deleted",
        (f"{BROKEN}test_a_namespace_on_its_way_out_is_left_in_peace",),
    ),
    Row("F35", "a quota is used up, then raised", (f"{BROKEN}test_a_quota_that_is_raised",)),
    Row(
        "F36",
        "a child's name is taken",
        (
            f"{OWNERSHIP}test_a_foreign_object_of_our_name_is_left_alone_until_it_goes",
            f"{OWNERSHIP}test_of_two_models_that_make_one_name_the_first_keeps_it",
        ),
    ),
    Row(
        "F37",
        "a child is edited by hand",
        (
            f"{DRIFT}test_an_edited_spec_is_put_right",
            f"{COMPONENT}test_reconcile_disturbed.py::test_every_field_that_we_send_is_put_right",
            f"{DRIFT}test_edited_labels_and_owner_references_are_put_right",
            f"{DRIFT}test_what_others_add_stays",
        ),
    ),
    Row(
        "F38",
        "a child is deleted by hand, or slow to go",
        (
            f"{DRIFT}test_a_deleted_child_comes_back",
            f"{OWNERSHIP}test_a_child_that_is_slow_to_go_is_waited_for_without_a_request",
        ),
    ),
    Row(
        "F39",
        "an owner reference is removed or given away",
        (
            f"{DRIFT}test_edited_labels_and_owner_references_are_put_right",
            f"{OWNERSHIP}test_a_child_with_neither_owner_nor_label_is_ours_no_more",
            f"{OWNERSHIP}test_a_child_given_to_another_model_is_not_taken_back_but_made_anew",
        ),
    ),
    Row(
        "F40",
        "deleted and made again under the same name",
        (
            f"{RECONCILE}test_a_model_deleted_and_made_again_gets_children_of_its_own",
            f"{OWNERSHIP}test_a_child_of_a_deleted_predecessor_is_waited_for",
        ),
    ),
    Row(
        "F41",
        "deleted in the foreground",
        (f"{RECONCILE}test_a_model_deleted_in_the_foreground_gets_no_new_children",),
    ),
    Row(
        "F42",
        "a backend is renamed or removed",
        (
            f"{RECONCILE}test_a_renamed_backend_is_made_anew",
            f"{RECONCILE}test_a_removed_backends_children_go",
        ),
    ),
    Row("F43", "a storm of edits", (f"{STORMS}test_of_many_edits_the_last_one_counts",)),
    Row(
        "F44",
        "an autoscaler writes the replicas",
        (f"{DRIFT}test_what_the_autoscaler_writes_stands_within_the_bounds",),
    ),
    Row(
        "F45",
        "a child's status is absurd",
        (f"{STORMS}test_absurd_reports_of_the_serving_controller_are_not_believed",),
    ),
    Row(
        "F46",
        "a stored object breaks a rule",
        (f"{RECONCILE}test_a_broken_rule_stops_everything_and_breaks_nothing",),
    ),
    Row(
        # No ConfigMap is read: images are settings. A changed one rolls the Deployment, one that
        # cannot be used ends the new process and leaves the old one, with its values, at work.
        "F47",
        "settings change, or cannot be used",
        (
            f"{RECONCILE}test_other_images_follow_a_restart_and_the_same_ones_do_not",
            f"{UNIT}test_settings.py::test_what_cannot_be_used_is_named",
            f"{E2E}test_process.py::test_a_misspelt_setting_is_told_and_nothing_begins",
        ),
    ),
    Row(
        "F60",
        "webhooks are replaced under load",
        (
            f"{TRAFFIC}test_f60_a_rolling_restart_under_load_fails_no_request",
            f"{SOCKETS}test_a_rolling_update_loses_no_request",
        ),
    ),
    Row(
        "F61",
        "a connection is used again after long",
        (
            f"{TRAFFIC}test_f61_an_idle_connection_can_be_used_again",
            f"{SOCKETS}test_an_idle_connection_is_kept_longer_than_the_time_for_a_header",
        ),
    ),
    Row(
        "F62",
        "500 connections of each half-open kind",
        (
            f"{TRAFFIC}test_f62_half_open_connections_keep_nobody_waiting",
            f"{TRAFFIC}test_f62_clients_that_drip_are_let_go_and_delay_no_end",
            f"{SOCKETS}test_slow_clients_are_let_go",
            f"{SOCKETS}test_slow_clients_hold_up_nobody",
            f"{SOCKETS}test_half_open_clients_do_not_delay_the_end",
        ),
    ),
    Row(
        "F63",
        "handshakes, as many as can be",
        (f"{TRAFFIC}test_f63_handshakes_leave_others_served_and_nothing_behind",),
    ),
    Row(
        "F64",
        "a reset after every answer",
        (
            f"{TRAFFIC}test_f64_resets_leave_nothing_behind",
            f"{SOCKETS}test_resets_leave_nothing_behind",
        ),
    ),
    Row(
        "F65",
        "bodies too long, endless, or of another length",
        (
            f"{TRAFFIC}test_f65_f66_no_body_takes_more_than_its_share",
            f"{TRAFFIC}test_f65_a_body_without_end_is_cut",
            f"{TRAFFIC}test_f65_a_length_that_lies_is_found_out",
            f"{SOCKETS}test_a_body_that_says_it_is_too_long_is_not_waited_for",
            f"{SOCKETS}test_chunks_that_go_on_and_on_are_cut",
        ),
    ),
    Row(
        "F66",
        "deep, wide and enormous values",
        (
            f"{TRAFFIC}test_f65_f66_no_body_takes_more_than_its_share",
            f"{ANSWERS}test_config_that_can_be_decoded",
        ),
    ),
    Row(
        "F67",
        "what is no JSON, or no UTF-8",
        (
            f"{ANSWERS}test_what_is_not_json_is_no_review",
            f"{ANSWERS}test_what_is_no_review_is_told_so",
        ),
    ),
    Row(
        "F68",
        "a key comes twice",
        (f"{ANSWERS}test_of_a_key_that_comes_twice_the_last_counts",),
    ),
    Row(
        "F69",
        "other capitals, unknown fields",
        (f"{ANSWERS}test_fields_that_are_unknown_are_passed_by",),
    ),
    Row(
        "F70",
        "no review, or one of something else",
        (
            f"{ANSWERS}test_what_is_no_review_gets_no_verdict",
            f"{ANSWERS}test_every_review_gets_a_verdict",
            f"{UNIT}test_review.py::test_what_is_no_review",
            f"{UNIT}test_review.py::test_no_object_is_refused",
            f"{UNIT}test_review.py::test_what_is_not_ours_is_passed_by",
        ),
    ),
    Row(
        "F71",
        "other methods, paths, protocols and framing",
        (
            f"{SOCKETS}test_two_paths_take_one_method",
            f"{SOCKETS}test_what_cannot_be_framed_ends_the_connection",
            f"{SOCKETS}test_what_is_no_request_ends_the_connection",
            f"{SOCKETS}test_an_old_client_is_answered_and_let_go",
        ),
    ),
    Row("F72", "other types and encodings of content", (f"{ANSWERS}test_content",)),
    Row("F73", "our own code raises", (f"{ANSWERS}test_our_own_mistake_is_no_verdict",)),
    Row(
        "F74",
        "reviews that chance has changed",
        (
            f"{FUZZ}test_every_review_is_answered",
            f"{REVIEWS}test_every_review_is_answered",
        ),
    ),
    Row(
        "F75",
        "texts made for slow patterns",
        (f"{ANSWERS}test_long_texts_are_answered",),
    ),
    Row(
        "F76",
        "a huge object that is right",
        (f"{ANSWERS}test_a_huge_object_that_is_right",),
    ),
    Row(
        "F77",
        "the default is asked for twice",
        (
            f"{ANSWERS}test_what_is_stored_is_stored_once",
            f"{REVIEWS}test_what_is_stored_is_stored_once",
        ),
    ),
)

OPEN: dict[str, str] = {}


def functions_of(reports: dict[str, list[Any]]) -> dict[str, set[str]]:
    """Returns what became of each test function, as the run's reports tell."""
    found: dict[str, set[str]] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in reports.get(outcome, []):
            found.setdefault(report.nodeid.partition("[")[0], set()).add(outcome)
    return found


def lines(reports: dict[str, list[Any]]) -> list[str]:
    """Returns the table for those rows of which at least one test has run."""
    outcomes = functions_of(reports)
    table = []
    for row in ROWS:
        ran = [test for test in row.tests if test in outcomes]
        if not ran:
            continue
        bad = any(outcomes[test] - {"passed"} for test in ran)
        verdict = "FAILED" if bad else "passed" if len(ran) == len(row.tests) else "in part"
        first = ran[0].rpartition("/")[2]
        more = f" and {len(ran) - 1} more" if len(ran) > 1 else ""
        table.append(f"{row.name}  {verdict:8} {row.fault:45} {first}{more}")
    if table:
        table += [f"{name}  open     {why}" for name, why in OPEN.items()]
    return table
