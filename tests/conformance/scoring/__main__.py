"""The contract suite: `python -m tests.conformance.scoring`.

Runs every case against the runtime and against azureml-inference-server-http, and writes
docs/scoring-differences.md. It fails if the runtime breaks the contract, if the peer differs without a
reason, and if a reason has no difference. It also runs the real clients of the Open Inference Protocol, and
compares the collectors of drivers with the packages of Azure ML. With
--command it runs the cases against any other server, and only prints the results.
"""

import argparse
import http.client
import json
import sys
from collections import Counter
from dataclasses import dataclass

from tests.conformance.predecessor import verdicts as verdicts_of_its_tests
from tests.conformance.scoring.case import ANY, Case, Group
from tests.conformance.scoring.cases import GROUPS, OLD_WHEELS, RAW_GROUPS
from tests.conformance.scoring.collectors.checks import Comparison, compare
from tests.conformance.scoring.collectors.checks import section as section_of_collectors
from tests.conformance.scoring.inference.checks import run_checks
from tests.conformance.scoring.servers import ROOT, Server, ServerEndedError, prepare, serving

BESIDE_THE_CASES = (
    (
        "`SEPERATE_HEALTH_ENDPOINT`, `HEALTH_PORT`",
        "listens at a second port for probes",
        "The probes of the one port never wait for `run()`.",
    ),
    (
        "`AZUREML_CONFIG_FILE`",
        "reads settings from the file",
        "All settings are environment variables. A Service has its own.",
    ),
    (
        "`WORKER_PRELOAD`",
        "loads the driver once, and forks the workers",
        "A library with threads breaks in a forked process. Workers load side by side.",
    ),
    (
        "`isinstance(request, flask.Request)` with `@rawhttp`",
        "is true",
        "True if the driver's file imports Flask. Other drivers have a smaller worker, with werkzeug only.",
    ),
    (
        "`debugpy` in the driver's process",
        "starts it for `AZUREML_DEBUG_PORT`",
        "A driver may start it in `init()`.",
    ),
    (
        "options of the command `azmlinfsrv`",
        "has a command of its own",
        "`modelyard serve` has the options of a laptop, and an image has environment variables.",
    ),
    (
        "lines of the log",
        "begins each `print()` with a time and a logger, prints its settings, warns of `x-ms-request-id`",
        "The lines of the runtime are JSON. The driver's own lines are unchanged.",
    ),
    (
        "`GET /` during `init()`",
        "refuses the connection",
        "The server is alive. `/ready` shows the end of `init()`.",
    ),
    (
        "a full queue",
        "lets requests wait without limit",
        "After 500 ms a request gets 503, so that another replica can take it.",
    ),
    ("large bodies", "has no limit", "A body above 100 MiB gets 413 (`MODELYARD_MAX_BODY_BYTES`)."),
    (
        "the working directory of an image",
        "is that of the image, which the driver may be unable to write",
        "It is writable, and models are there by their names, as in the containers of 2017.",
    ),
    (
        "exceptions of `azureml.api.exceptions`",
        "responds with 500",
        "They have the status of the response, as in the containers of 2017.",
    ),
    (
        "`azureml.api`, `azureml.core.model` and others that are not installed",
        "fails at the import",
        "The runtime has the parts that [drivers of 2017 to 2020](clients-of-2017.md) use.",
    ),
)
"""Differences that no request to a running server shows: subject, the peer, reason."""

TABLE = ROOT / "docs" / "scoring-differences.md"
RESPONSE_SECONDS = 20


@dataclass(frozen=True)
class Verdict:
    """The result of one case."""

    group: str
    case: str
    difference: str
    """The difference from the contract; empty if there is none."""
    why: str

    @property
    def key(self) -> tuple[str, str]:
        return self.group, self.case


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--command", help="command of another server; {driver}, {folder} and {port} are replaced"
    )
    command = parser.parse_args().command
    if command:
        return _report(command, run_all(Server("another", command)))
    servers = prepare()
    peer = servers.peer
    our_verdicts, peer_verdicts = run_all(servers.runtime), run_all(peer)
    passed, broken = 0, 0
    for server, verdicts in (
        (servers.runtime, our_verdicts),
        (servers.with_old_wheels, run_group(servers.with_old_wheels, OLD_WHEELS)),
        (servers.with_peer, [one for group in RAW_GROUPS for one in run_group(servers.with_peer, group)]),
    ):
        failures = _report(server.name, verdicts)
        broken += failures
        passed += len(verdicts) - failures
    for name, problem in run_checks(servers).items():
        print(f"{'FAILED' if problem else 'passed'}: {name}{problem and ': '}{problem}")
        broken += bool(problem)
        passed += not problem
    _report(peer.name, peer_verdicts)
    comparisons = compare(servers.runtime)
    explained = peer_verdicts + [
        Verdict(one.program.package, one.program.name, one.difference, one.program.why) for one in comparisons
    ]
    unexplained = [verdict for verdict in explained if verdict.difference and not verdict.why]
    needless = [verdict for verdict in explained if not verdict.difference and verdict.why]
    passed += sum(not one.difference or bool(one.program.why) for one in comparisons)
    for problem, verdicts in (
        ("no reason for a difference", unexplained),
        ("a reason without a difference", needless),
    ):
        for verdict in verdicts:
            print(f"{problem}: {verdict.group}: {verdict.case}: {verdict.difference}")
    changed = section_of_collectors(comparisons) not in TABLE.read_text()
    if changed:
        print(f"the collectors have other outcomes than on {TABLE.name}: check the new page, and commit it")
    TABLE.write_text(table(peer.name, peer_verdicts, comparisons))
    failed = broken + len(unexplained) + len(needless) + changed
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def _report(name: str, verdicts: list[Verdict]) -> int:
    broken = [verdict for verdict in verdicts if verdict.difference]
    print(f"{name}: {len(verdicts) - len(broken)} of {len(verdicts)} cases follow the contract")
    for verdict in broken:
        print(f"  {verdict.group}: {verdict.case}: {verdict.difference}")
    return len(broken)


def run_all(server: Server) -> list[Verdict]:
    return [verdict for group in GROUPS for verdict in run_group(server, group)]


def run_group(server: Server, group: Group) -> list[Verdict]:
    try:
        with serving(server, group.driver, group.environment, group.files) as port:
            if group.exit_code is not None:
                return [Verdict(group.name, "the process ends", "it serves", group.why)]
            return [
                Verdict(group.name, case.name, difference(port, case), case.why or group.why)
                for case in group.cases
            ]
    except ServerEndedError as error:
        if group.exit_code is None:
            not_started = f"it does not start: exit code {error.exit_code}"
            return [
                Verdict(group.name, case.name, not_started, case.why or group.why) for case in group.cases
            ]
        other_code = "" if error.exit_code == group.exit_code else f"exit code {error.exit_code}"
        return [Verdict(group.name, f"the process ends with {group.exit_code}", other_code, group.why)]


def difference(port: int, case: Case) -> str:
    """Return the difference from the required response; empty if there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=RESPONSE_SECONDS)
    try:
        connection.request(case.method, case.path, case.body, dict(case.sent))
        response = connection.getresponse()
        pieces = list(iter(response.read1, b""))
        body = b"".join(pieces)
    except http.client.IncompleteRead as error:
        return "" if case.is_cut else f"no response ({type(error).__name__})"
    except (OSError, http.client.HTTPException) as error:
        return f"no response ({type(error).__name__})"
    finally:
        connection.close()
    if response.status != case.status:
        return f"status {response.status}"
    if case.is_cut:
        return "the body ends as if it were complete"
    if case.pieces and [piece.decode() for piece in pieces] != [*case.pieces]:
        return f"pieces {[bytes(piece[:20]) for piece in pieces[:5]]}"
    return _difference_of_headers(response.headers, case) or _difference_of_body(body, case)


def _difference_of_headers(headers: http.client.HTTPMessage, case: Case) -> str:
    for name, value in case.headers.items():
        if headers.get(name) != value:
            return f"{name}: {headers.get(name)}"
    for name, values in case.repeated.items():
        if headers.get_all(name) != values:
            return f"{name}: {headers.get_all(name)}"
    return ""


def _difference_of_body(body: bytes, case: Case) -> str:
    if case.text is not None and body.decode() != case.text:
        return f"body {body[:80]!r}"
    if case.json is not ANY or case.check is not None:
        try:
            value = json.loads(body)
            right = (case.json is ANY or value == case.json) and (case.check is None or case.check(value))
        except (ValueError, KeyError, TypeError):
            right = False
        if not right:
            return f"body {body[:80]!r}"
    return ""


def table(peer: str, verdicts: list[Verdict], comparisons: list[Comparison]) -> str:
    """Return the page as Markdown, without text that changes from run to run."""
    differences = [verdict for verdict in verdicts if verdict.difference]
    count = Counter(bool(verdict.difference) for verdict in verdicts)
    lines = [
        "# How the scoring runtime differs from its predecessor",
        "",
        "Generated by `make conformance-scoring`; do not edit.",
        f"In {count[False]} of {len(verdicts)} cases of the contract {peer} responds as the runtime does.",
        "The table has the other cases, with the peer's response and the reason for the difference:",
        "",
        "| driver | case | the peer | reason |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {one.group} | {one.case} | {one.difference.replace('|', '/')} | {one.why} |"
        for one in differences
    ]
    lines += ["", "No case shows these differences:", "", "| subject | the peer | reason |", "|---|---|---|"]
    lines += [f"| {subject} | {theirs} | {reason} |" for subject, theirs, reason in BESIDE_THE_CASES]
    return "\n".join([*lines, "", section_of_collectors(comparisons), verdicts_of_its_tests.section()])


if __name__ == "__main__":
    sys.exit(main())
