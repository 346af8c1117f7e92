"""Every attack and fault that a stream has an answer to, and the tests that prove it: each of them is there."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: What is done to a reader, and where that is tried.  A name that is no test any more is a failure.
ROWS = {
    "arbitrary install: bytes changed, or signed by a stranger": "test_each_byte_of_a_head test_a_stranger_signs test_s8_the_body_is_the_one_that_was_signed",
    "signature stripped": "test_an_envelope_that_is_not_signed test_without_usable_keys_nothing_starts",
    "algorithm confusion": "test_algorithm_confusion test_an_algorithm_is_ed25519",
    "threshold by repetition": "test_one_signature_thrice",
    "one key under two ids": "test_one_key_under_two_ids test_one_key_under_two_ids_counts_once",
    "weak or placeholder key": "test_keys_that_anybody_can_sign_for test_a_key_has_32_bytes",
    "cross-stream replay": "test_another_stream_of_the_same_keys test_what_a_release_must_not_say",
    "type confusion": "test_type_confusion",
    "rollback": "test_s5_an_older_release_is_never_taken test_s5_the_floor_outlives_damaged_state",
    "equivocation": "test_s6_two_bodies_of_one_version_are_a_lie",
    "indefinite freeze": "test_what_has_expired_is_stale",
    "freeze through 304": "test_t8_an_answer_that_nothing_changed_prolongs_nothing",
    "fast-forward": "test_epochs_recover_from_a_version_that_jumped test_a_new_epoch_puts_an_end_to_the_old_one",
    "mix-and-match": "test_s8_the_body_is_the_one_that_was_signed test_s10_the_body_is_the_releases_own",
    "key compromise below threshold, rotation": "test_the_next_keyring test_thresholds_of_both_roots test_keys_are_rotated_while_it_runs test_distrust_is_immediate",
    "trust anchor ages": "test_300_keyrings test_keyrings_on_the_way_may_have_expired",
    "keyring kept back": "test_a_keyring_that_is_kept_back",
    "wrong target": "test_an_artifact_that_is_not_what_was_signed_refuses_the_release",
    "extraneous dependencies": "test_distributions_have_to_be_installed",
    "over-reaching manifest": "test_a_stream_stays_inside_its_scope test_a_stream_stays_inside_its_priorities test_a_stream_refers_only_to_its_secrets",
    "factory gadget": "test_a_factory_that_may_not_be_named_refuses_the_release test_what_is_not_in_the_list_is_not_imported test_nothing_is_imported_for_what_is_refused",
    "guards switched off": "test_guards_cannot_be_switched_off",
    "duplicate names, canonical forms, surrogates, NaN, huge numbers, types, nesting": "test_a_body_that_is_not_well_formed_is_refused test_a_field_of_another_type_or_form_is_refused test_hostile_heads_and_keyrings test_hostile_releases test_no_bytes_are_more_than_malformed",
    "memory before authentication": "test_brackets_take_no_memory test_endless_head_ends_at_its_limit",
    "unknown fields": "test_a_field_that_is_not_known_is_passed_over_where_that_is_allowed test_what_a_release_must_not_say",
    "captive portal": "test_each_trick_ends_with_its_code",
    "endless data": "test_each_trick_ends_with_its_code test_endless_body_ends_at_the_signed_size",
    "slow retrieval": "test_drip_ends_with_the_time_of_the_whole test_each_trick_ends_with_its_code",
    "gzip bomb": "test_nothing_is_unpacked test_each_trick_ends_with_its_code",
    "truncated, wrong length": "test_body_is_whole_or_nothing test_each_trick_ends_with_its_code",
    "redirects": "test_nobody_is_led_anywhere_by_default test_nobody_is_led_to_what_is_not_listed test_listed_host_is_followed_to_by_tls_and_without_the_credential",
    "paths that lead elsewhere": "test_path_that_leads_elsewhere_is_refused",
    "credential leak": "test_credential_goes_to_its_origin test_t26_a_credential_goes_along",
    "500, 429, Retry-After": "test_what_the_source_asks_for_is_bounded test_a_source_that_fails_is_asked_less_and_less test_t27_what_the_server_asks_for_is_told",
    "thundering herd": "test_what_goes_well_comes_again_after_the_interval test_each_failure_doubles_the_wait",
    "stale CDN edge": "test_s5_an_older_release_is_never_taken",
    "body not there yet": "test_signed_body_that_is_absent_may_come_yet",
    "cache poisoned, wiped, rotten": "test_a_damaged_artifact_is_set_aside_and_fetched_again",
    "fifo, device, symlink, swap": "test_only_plain_files_are_read test_nothing_outside_is_reached_while_links_come_and_go test_device_that_never_ends_is_refused",
    "partial write, power cut": "test_whatever_happens_at_any_step_it_is_old_or_new test_killed_25_times_it_is_whole",
    "disk full": "test_s14_what_cannot_be_kept_is_taken_back",
    "two processes": "test_four_processes_never_fail_and_never_lower_the_floor",
    "restart while the server is down": "test_the_next_start_needs_nobody",
    "shared or foreign directory": "test_a_folder_of_somebody_else_is_refused test_a_folder_to_which_others_may_write_is_refused",
    "garbage growth": "test_what_nobody_refers_to_is_swept",
    "partial apply": "test_s13_all_or_nothing test_one_bad_entry_refuses_all",
    "one bad entry": "test_isolated_a_bad_entry_keeps_what_it_would_replace",
    "mass removal": "test_taking_away_more_than_half_has_to_be_said",
    "vanished entry": "test_only_what_differs_is_changed test_two_streams_are_strangers",
    "verdict kept with its tag": "test_s15_what_was_refused_is_not_looked_at_again",
    "bad persisted state": "test_damaged_state_does_not_stop_a_start test_damage_stops_nothing_and_lowers_nothing",
    "the loop dies": "test_it_outlives_what_fetchers_raise test_it_outlives_what_hooks_raise",
    "an unchanged poll works or leaks": "test_a_thousand_unchanged_polls test_an_unchanged_poll_changes_nothing",
    "clocks that jump": "test_it_outlives_clocks_that_jump test_s1_a_clock_that_goes_back_believes_nothing_expired",
}


def known() -> set[str]:
    """The names of all tests of streams."""
    found = set()
    for folder in (ROOT / "remote", ROOT / "fetchers"):
        for path in folder.rglob("test_*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith(
                    "test_"
                ):
                    found.add(node.name)
    return found


NAMES = known()


@pytest.mark.parametrize("row", ROWS)
def test_each_row_is_tried(row):
    """By tests that are there."""
    assert [name for name in ROWS[row].split() if name not in NAMES] == []
