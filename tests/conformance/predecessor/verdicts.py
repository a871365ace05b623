"""Verdicts of the predecessor's tests that do not pass, and their section in docs/scoring-differences.md.

A test stands here by its name without parameters.
"""

from typing import Final

TESTS: Final = 136
"""Tests of azureml-inference-server-http 1.5.1."""

COUNTS: Final = {"absent": (78, 51, 7), "installed": (82, 47, 7)}
"""Tests that pass, differ by name, or are not applicable, without and with the peer's package."""

MESSAGES: Final = "words of messages"
OPENAPI: Final = "OpenAPI documents"
LOG_LINES: Final = "lines of the log"
HEALTH_PORT: Final = "a second port for probes"
VERSION_HEADER: Final = "`x-ms-server-version`"
CONTENT_TYPE: Final = "`Content-Type` in the headers of an AMLResponse"
CONFIG_FILE: Final = "`AZUREML_CONFIG_FILE`"
DEBUGPY: Final = "`debugpy`"
TELEMETRY: Final = "data in Application Insights"
FLASK: Final = "Flask"

REASONS: Final = {
    MESSAGES: "Other words, and the same statuses.",
    OPENAPI: "Descriptions, the key of `/swagger.json`, and the response of `/`, as in the first table. "
    "The run compares all else.",
    LOG_LINES: "The tests look for the peer's own lines, which begin with a time and a logger. Those of the "
    "runtime are JSON on stderr. The run finds the lines of the driver.",
    HEALTH_PORT: "The probes of the one port never wait for `run()`.",
    VERSION_HEADER: "The runtime does not tell clients its version.",
    CONTENT_TYPE: "The peer sends two types, its own first. The runtime sends that of the driver.",
    CONFIG_FILE: "All settings are environment variables.",
    DEBUGPY: "A driver may start it in `init()`.",
    TELEMETRY: "The tests replace loggers within the peer, which logs bodies. The runtime sends spans "
    "without bodies, since these may be personal data.",
    FLASK: "Without Flask among the driver's packages, `import flask` fails, and the request is one of "
    "werkzeug.",
}

FAILED_LINES: Final = {
    MESSAGES: r"response\.json ==|str\(ex|record_tuples",
    OPENAPI: "response.json == expected_json",
    LOG_LINES: "record_tuples",
    HEALTH_PORT: "health_with_get",
    VERSION_HEADER: "x-ms-server-version",
    CONTENT_TYPE: r'"content-type"\] == "application/json"',
    CONFIG_FILE: "",
    DEBUGPY: "debugpy",
    TELEMETRY: "custom_dimensions",
    FLASK: r"isinstance\(request, flask.Request\)|set_user_run",
}
"""Regular expressions for the assertion at which a test fails. The assertions before it hold."""

_ROUTES: Final = "server/test_routes.py::test_routes_"
_SCRIPT: Final = "server/test_user_script.py::test_"
_SWAGGER: Final = "server/test_swagger.py::test_swagger_"
_INSIGHTS: Final = "server/test_app_insights.py::test_appinsights_"
_SCENARIOS: Final = "azmlinfsrv/scenarios/test_scenarios.py::test_"

DIFFERENCES: Final = {
    f"{_INSIGHTS}exception": TELEMETRY,
    f"{_INSIGHTS}model_log_with_clientrequestid": TELEMETRY,
    f"{_INSIGHTS}model_log_without_clientrequestid": TELEMETRY,
    "server/test_entry_debugpy.py::test_entry_debugpy": DEBUGPY,
    "server/test_print_log_hook.py::test_print_log_redirect": LOG_LINES,
    f"{_ROUTES}404": MESSAGES,
    f"{_ROUTES}405": MESSAGES,
    f"{_ROUTES}scoring_amlresponse_headers": CONTENT_TYPE,
    f"{_ROUTES}x_ms_request_id": LOG_LINES,
    f"{_SWAGGER}bad_version": MESSAGES,
    f"{_SWAGGER}schema_versions_no_2": MESSAGES,
    f"{_SWAGGER}generation": OPENAPI,
    f"{_SWAGGER}generation_with_path_prefix": OPENAPI,
    f"{_SWAGGER}generation_without_decorator": OPENAPI,
    f"{_SCRIPT}import_error_in_main": MESSAGES,
    f"{_SCRIPT}script_not_found": MESSAGES,
    f"{_SCRIPT}user_script_input_schema_bad_json": MESSAGES,
    f"{_SCRIPT}user_script_input_schema_empty_body": MESSAGES,
    f"{_SCRIPT}user_script_input_schema_not_dict": MESSAGES,
    f"{_SCRIPT}user_script_load_bad_run_signature": MESSAGES,
    f"{_SCRIPT}user_script_run_no_argument": MESSAGES,
    f"{_SCENARIOS}seperate_health_port": HEALTH_PORT,
    f"{_SCENARIOS}set_custom_health_port_cli": HEALTH_PORT,
    f"{_SCENARIOS}server_version_header": VERSION_HEADER,
    f"{_SCENARIOS}server_version_enabled_header": VERSION_HEADER,
}
"""Differences in both environments of the driver."""

LOG_TEXTS: Final = {
    f"{_SCENARIOS}app_insights_bad_key_cli_ok": LOG_LINES,
    f"{_SCENARIOS}app_insights_cli_env_var": LOG_LINES,
    f"{_SCENARIOS}app_insights_cli_ok": LOG_LINES,
    f"{_SCENARIOS}app_insights_cli_over_env": LOG_LINES,
    f"{_SCENARIOS}app_insights_false_if_invalid": LOG_LINES,
    f"{_SCENARIOS}cors_enabled": LOG_LINES,
    f"{_SCENARIOS}cors_enabled_for_multiple_origins": LOG_LINES,
    f"{_SCENARIOS}cors_enabled_without_package": LOG_LINES,
    f"{_SCENARIOS}invalid_indent_crash": LOG_LINES,
    f"{_SCENARIOS}load_config_from_file": CONFIG_FILE,
    f"{_SCENARIOS}log_configurability": LOG_LINES,
    f"{_SCENARIOS}no_custom_health_port": LOG_LINES,
    f"{_SCENARIOS}print_init_ok": LOG_LINES,
    f"{_SCENARIOS}print_run_ok_and_single_print": LOG_LINES,
    f"{_SCENARIOS}server_port_set_to_default": LOG_LINES,
    f"{_SCENARIOS}streaming_score": LOG_LINES,
    f"{_SCENARIOS}worker_count_env_var": LOG_LINES,
    f"{_SCENARIOS}worker_timeout_env_var": LOG_LINES,
}
"""Tests that pass but for lines of the peer's own log."""

WITHOUT_FLASK: Final = {
    "server/test_compat.py::test_compat_flask2_json_error": FLASK,
    f"{_SCRIPT}user_script_input_rawhttp_get": FLASK,
    f"{_SCRIPT}user_script_input_rawhttp_options": FLASK,
    f"{_SCRIPT}user_script_input_rawhttp_post": FLASK,
}
"""Differences if the predecessor's package, and so Flask, is absent from the driver's environment."""

NOT_APPLICABLE: Final = {
    f"{_INSIGHTS}e2e": "needs a workspace of Azure ML; the peer's own run skips it, too",
    "server/test_config.py::test_config_errors": "calls a class of the peer, and no server",
    f"{_SWAGGER}supported_versions": "calls a class of the peer, and no server",
    "server/test_utils.py::test_utils_walk_path": "calls a function of the peer, and no server",
    f"{_SCRIPT}user_script_load_bad_indent": "the peer fails it, too (xfail)",
    f"{_SCRIPT}user_script_init_exception": "the peer fails it, too (xfail)",
    f"{_SCRIPT}user_script_run_http_exception": "the peer fails it, too (xfail)",
}
"""Tests that say nothing about a server, with the reason."""

TIMED: Final = (f"{_SCRIPT}user_script_run_timer", f"{_SCRIPT}user_script_run_timeout")
"""Tests with an upper limit of 10 or 30 ms, which a busy machine exceeds: one pass in several runs counts."""


def section() -> str:
    """Return the section of docs/scoring-differences.md as Markdown."""
    lines = [
        "## The tests of azureml-inference-server-http",
        "",
        f"`make conformance-predecessor` runs the {TESTS} tests of the peer on the runtime,",
        "with the peer's package absent from the driver's environment, and installed in it.",
        "",
        "| the peer's package | pass | differ by name | not applicable |",
        "|---|---|---|---|",
        *(f"| {name} | {' | '.join(map(str, counts))} |" for name, counts in COUNTS.items()),
        "",
        "| difference | tests | reason |",
        "|---|---|---|",
    ]
    differences = {**DIFFERENCES, **LOG_TEXTS, **WITHOUT_FLASK}
    for subject, reason in REASONS.items():
        tests = ", ".join(_name(test) for test, found in differences.items() if found == subject)
        lines.append(f"| {subject} | {tests} | {reason} |")
    lines += ["", "| not applicable | reason |", "|---|---|"]
    lines += [f"| {_name(test)} | {reason} |" for test, reason in NOT_APPLICABLE.items()]
    return "\n".join([*lines, ""])


def _name(test: str) -> str:
    return f"`{test.rpartition('::')[2]}`"
