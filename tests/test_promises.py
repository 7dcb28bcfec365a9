"""Every guarantee of the manual's page on security has tests, named here."""

import re
from pathlib import Path

import pytest

from dsgctl.guide import read_page

ROOT = Path(__file__).parent.parent

# The words in bold -> the tests that hold them.
PROMISES: dict[str, list[str]] = {
    "A child account ends with its parent": (
        "dsgctl/core/test_account_status.py::test_every_check_agrees_on_the_status_of_a_child",
        "dsgctl/commands/test_access.py::test_a_child_ends_with_its_parent_and_explain_says_so",
    ),
    "The next request sees every change": [
        "e2e/test_user_cache.py::test_each_change_by_dsgctl_is_seen_by_the_next_request_in_every_process",
        "e2e/test_user_cache.py::test_a_change_with_the_sqlite3_shell_is_seen_by_the_next_request",
        "e2e/test_user_cache.py::test_a_cached_answer_expires_at_the_next_date_in_its_facts",
        "dsgserve/user_cache/test_hot_path_changes.py::test_the_next_request_sees_a_change",
        "dsgserve/test_short_cut.py::test_nothing_is_answered_from_the_cache_until_a_change_is_applied",
    ],
    "Tokens are not stored.": [
        "e2e/test_attacks.py::test_secrets_are_in_no_process_list_core_dump_or_log",
        "dsgctl/commands/test_tokens.py::test_a_token_is_shown_when_it_is_made_and_never_again",
        "dsgctl/commands/test_tokens.py::test_a_token_is_not_accepted_as_an_argument_nor_repeated",
    ],
    "A revoked permission on a public dataset does not come back": [
        "dsgctl/core/test_acceptances.py::test_accepting_other_terms_does_not_give_a_withdrawn_view_back",
        "dsgctl/core/test_acceptances.py::test_accepting_gives_a_withdrawn_view_back_after_it_was_granted_again",
    ],
    "Every change is one transaction with its audit record": [
        "dsgctl/commands/test_nouns.py::test_each_change_is_recorded_once_with_before_and_after",
        "dsgctl/core/test_audit_chain.py::test_an_edited_record_is_found",
        "dsgctl/commands/test_audit.py::test_verify_detects_records_cut_off_at_the_end",
        "dsgctl/commands/test_audit.py::test_verify_detects_a_rewritten_log_by_a_head_noted_elsewhere",
    ],
    "Every decision can be explained": [
        "dsgctl/core/rules/test_access.py::test_",
        "dsgctl/commands/test_access.py::test_",
    ],
    "The default is no": [
        "dsgctl/core/rules/test_access.py::test_",
        "dsgctl/test_settings.py::test_an_unknown_setting_is_an_error_that_names_the_nearest",
    ],
    "An acknowledged change is durable, and no partial change is visible": [
        "e2e/test_killed.py::test_programs_killed_at_any_moment_lose_no_change_and_leave_no_partial_one",
        "e2e/test_many_writers.py::test_twenty_concurrent_writers_lose_no_change",
        "dsgctl/commands/test_trouble_disk.py::test_a_full_disk_loses_nothing",
        "e2e/test_trouble.py::test_a_server_on_a_full_disk_answers_and_signs_nobody_in",
    ],
    "In doubt, the server does not answer": [
        "e2e/test_trouble.py::test_a_database_that_was_replaced_is_not_answered_from",
        "e2e/test_trouble.py::test_a_clock_that_is_set_back_does_not_revive_expired_tokens",
        "e2e/test_supervised.py::test_a_database_migrated_by_a_later_release_is_not_answered_from",
    ],
    "Slow upstreams do not block it": [
        "dsgserve/login/test_oidc.py::test_an_invalid_discovery_document_starts_no_login_and_is_cheap",
        "dsgserve/login/test_oidc.py::test_an_invalid_answer_of_the_token_endpoint_signs_nobody_in",
        "dsgserve/login/test_oidc.py::test_concurrent_logins_ask_the_provider_once_and_share_its_failure",
        "dsgserve/ngauth/test_gcs_tokens.py::test_a_request_that_has_waited_too_long_makes_no_exchange",
        "dsgserve/ngauth/test_token_exchange.py::test_concurrent_requests_ask_a_failing_google_once_for_a_source",
        "dsgserve/process/test_outbound.py::test_a_request_that_arrived_too_long_ago_has_no_time_left",
        "e2e/test_login.py::test_a_provider_that_hangs_or_is_down_shows_a_page_and_does_not_slow_user_cache",
    ],
    "A secret of one kind is valid only for its purpose": [
        "dsgserve/test_attacks.py::test_a_secret_of_one_kind_is_accepted_only_for_its_purpose",
        "dsgserve/test_attacks.py::test_a_user_token_does_not_outlive_its_login_or_account",
    ],
    "A Google token reaches only the folders that its owner may read": [
        "dsgserve/ngauth/test_token_exchange.py::test_reading_and_listing_are_limited_to_the_prefixes",
        "dsgctl/core/rules/test_boundary.py::test_a_boundary_opens_the_given_prefixes_and_nothing_else",
        "e2e/test_google_limits.py::test_long_prefixes_are_packed_within_the_limits_of_google",
        "e2e/test_neuroglancer.py::test_only_objects_below_the_prefix_can_be_read_and_listed",
    ],
    "Closed datasets and existing accounts cannot be discovered": [
        "dsgserve/test_attacks.py::test_a_closed_dataset_is_answered_like_one_that_does_not_exist",
        "dsgserve/test_attacks.py::test_every_unknown_token_gets_the_same_answer",
        "dsgserve/test_attacks.py::test_a_token_lookup_takes_no_longer_when_the_prefix_is_right",
    ],
    "Caches are bounded in bytes": [
        "dsgserve/process/test_byte_cache.py::test_cached_responses_are_bounded_in_bytes",
        "dsgserve/ngauth/test_gcs_tokens.py::test_cached_tokens_are_bounded_in_bytes",
    ],
    "Untrusted text costs no more than its length": [
        "dsgserve/http/test_origins.py::test_no_origin_makes_the_pattern_slow",
        "dsgserve/test_attacks.py::test_anonymous_requests_use_bounded_memory_and_disk",
        "dsgserve/test_bounded_work.py::test_no_query_costs_more",
        "dsgserve/test_bounded_work.py::test_no_header_costs_more",
        "dsgserve/test_bounded_work.py::test_no_body_costs_more",
        "dsgserve/test_bounded_work.py::test_what_is_read_from_a_connection_costs_no_more",
        "fuzz/test_fuzz.py::test_no_bytes_break_a_target",
    ],
    "Only viewers that `NGAUTH_ALLOWED_ORIGINS` admits get tokens": [
        "dsgserve/http/test_origins.py::test_the_pattern_must_match_the_whole_origin",
        "dsgserve/ngauth/test_popup.py::test_the_popup_posts_a_token_to_exactly_the_viewer",
    ],
    "Only the registered origin gets a delegated key": [
        "dsgserve/clients/test_consent.py::test_allowing_posts_a_key_to_exactly_the_registered_origin",
        "dsgserve/clients/test_key_window.py::test_a_form_that_our_page_did_not_show_makes_no_key",
        "e2e/test_clients.py::test_a_page_of_another_origin_never_gets_the_key_of_a_registered_one",
        "e2e/test_clients.py::test_a_viewer_that_is_not_registered_gets_nothing",
    ],
    "a delegated key is never an admin's, signs nobody in, and makes or ends no token": [
        "dsgctl/core/test_delegated_keys.py::test_with_a_key_an_admin_is_none",
        "dsgserve/clients/test_consent.py::test_with_a_key_an_admin_is_none_and_no_cookie_signs_in",
        "dsgserve/clients/test_key_window.py::test_only_a_persons_own_login_opens_the_window",
    ],
    "No page can be framed, and no stored text runs as script": [
        "dsgserve/test_attacks.py::test_no_page_and_no_answer_can_be_framed_sniffed_or_leak_its_address",
        "dsgserve/test_attacks.py::test_no_stored_string_is_a_script_on_any_page",
        "dsgctl/core/test_markdown.py::test_markdown_is_harmless",
    ],
    "A form is accepted only from the gateway's own page, shown to this login": [
        "dsgserve/test_attacks.py::test_a_form_of_one_login_is_refused_for_another",
        "dsgserve/login/test_form_proofs.py::test_a_forged_form_is_refused_with_403",
    ],
    "A login is completed once, by the browser that began it": [
        "e2e/test_login.py::test_a_login_completes_once_and_only_in_the_browser_that_began_it",
        "e2e/test_attacks.py::test_a_login_replaces_a_planted_cookie",
        "e2e/test_attacks.py::test_a_login_that_an_attacker_began_cannot_be_finished_by_the_victim",
    ],
    "No other site can end a login": [
        "dsgserve/login/test_logout.py::test_only_a_deliberate_request_ends_a_login",
        "dsgserve/login/test_logout.py::test_every_get_route_that_changes_something_needs_a_deliberate_request",
    ],
    "Redirects lead to this gateway or to configured origins": [
        "dsgserve/http/test_redirects.py::test_a_path_that_could_lead_to_another_host_is_refused",
        "dsgserve/http/test_redirects.py::test_any_other_address_is_refused",
    ],
    "No spelling of a path, no header and no method changes what the gate decides about": [
        "dsgserve/apis/test_gate.py::test_no_header_of_a_client_changes_the_answer",
        "e2e/test_gate.py::test_no_spelling_of_a_path_leads_out_of_what_was_decided",
        "e2e/test_gate.py::test_no_spelling_of_a_path_skips_the_gate",
        "e2e/test_gate.py::test_no_other_protocol_reaches_the_server_behind",
        "e2e/test_gate.py::test_the_dataset_of_a_webknossos_url_is_decided_by_the_configuration",
    ],
    "A server behind learns the identity from the gateway alone, and gets no token.": [
        "e2e/test_gate.py::test_the_server_behind_gets_the_identity_of_the_gateway_and_no_token",
        "e2e/test_gate.py::test_an_anonymous_request_has_no_identity",
        "e2e/test_gate.py::test_a_client_cannot_have_the_identity_removed_as_a_header_of_the_connection",
        "dsgserve/apis/test_gate.py::test_names_in_identity_headers_can_be_told_apart",
    ],
    "In doubt, the gate is closed": [
        "e2e/test_gate.py::test_without_the_gateway_nothing_is_open",
        "e2e/test_gate.py::test_a_location_without_a_dataset_is_closed",
        "e2e/test_gate.py::test_a_misspelt_query_in_the_site_is_closed",
        "dsgserve/apis/test_gate.py::test_a_doubt_is_503",
    ],
    "The login cookie counts for no page of another site": [
        "e2e/test_gate.py::test_a_form_of_another_site_is_not_sent_in_the_name_of_its_visitor",
        "e2e/test_gate.py::test_a_websocket_is_opened_for_those_who_may",
    ],
    "Malformed cookies of another host end no login": [
        "dsgserve/test_attacks.py::test_a_malformed_cookie_of_a_sibling_domain_ends_no_login",
        "dsgserve/test_attacks.py::test_every_route_uses_the_same_one_of_two_cookies",
        "dsgserve/http/test_cookies.py::test_a_good_token_is_found_whatever_cookies_precede_it",
        "dsgserve/login/test_login_state.py::test_a_login_state_cannot_be_planted_by_a_sibling_domain",
    ],
    "Bundles are encrypted to keys that are not on the host": [
        "dsgctl/operations/backup/test_create.py::test_a_bundle_is_encrypted_for_its_owner_alone_and_tells_no_secret",
        "dsgctl/operations/backup/test_encryption.py::test_a_backup_without_recipients_is_refused_and_not_made_in_clear",
    ],
    "Logs contain no token, key, code or address of a person": [
        "dsgserve/process/test_logs.py::test_a_secret_repeated_by_another_server_is_not_logged",
        "dsgserve/process/test_logs.py::test_no_token_and_no_client_address_is_logged",
        "e2e/test_attacks.py::test_secrets_are_in_no_process_list_core_dump_or_log",
        "e2e/test_nginx_log.py::test_the_log_has_the_reason_and_no_query_at_any_level",
    ],
    "nginx and the server read each request alike": [
        "e2e/test_attacks.py::test_no_request_is_smuggled_past_nginx",
        "e2e/test_attacks.py::test_forged_headers_do_not_change_the_user_or_the_client_address",
        "dsgserve/http/test_wire.py::test_through_nginx_the_same_route_is_taken_and_counted_whenever_it_is_rationed",
        "dsgserve/http/test_proxy.py::test_the_address_that_nginx_sets_is_the_one_that_accepts",
    ],
    "Stored text cannot act in a terminal or a spreadsheet": [
        "dsgctl/commands/test_output_escapes.py::test_control_characters_in_the_database_are_shown_escaped",
        "dsgctl/commands/test_output_escapes.py::test_stored_text_is_no_formula_in_a_spreadsheet",
    ],
    "Arguments are text": [
        "dsgctl/commands/test_text_arguments.py::test_commands_that_store_text_do_not_interpret_it",
        "dsgctl/commands/test_text_arguments.py::test_commands_that_look_up_text_do_not_interpret_it",
    ],
}


def test_every_promise_has_tests_and_nothing_else_is_in_bold() -> None:
    bold = re.findall(r"\*\*(.+?)\*\*", read_page("security"), re.DOTALL)
    assert {" ".join(words.split()) for words in bold} == PROMISES.keys()


@pytest.mark.parametrize("promise", PROMISES)
def test_the_tests_that_hold_it_are_there(promise: str) -> None:
    for test in PROMISES[promise]:
        file, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / "tests" / file).read_text(encoding="utf-8"), test
