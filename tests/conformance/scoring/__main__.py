"""The contract suite: `python -m tests.conformance.scoring`.

Asks every case of ours and of azureml-inference-server-http, and writes docs/scoring-differences.md. It fails
when ours breaks the contract, when the peer differs without an explanation, and when an explanation is left
that explains nothing. With --command it asks any other server, and only says what it found.
"""

import argparse
import http.client
import json
import sys
from collections import Counter
from dataclasses import dataclass

from tests.conformance.scoring.cases import ANY, GROUPS, OLD_WHEELS, Case, Group
from tests.conformance.scoring.servers import ROOT, EndedError, Server, prepare, serving

TABLE = ROOT / "docs" / "scoring-differences.md"
ANSWER_SECONDS = 20


@dataclass(frozen=True)
class Verdict:
    """How a server did in one case."""

    group: str
    what: str
    broken: str
    """What it did instead; empty when it did what the contract says."""
    why: str

    @property
    def key(self) -> tuple[str, str]:
        return self.group, self.what


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", help="of another server; {driver}, {folder} and {port} are filled in")
    command = parser.parse_args().command
    if command:
        return _report(command, ask(Server("another", command)))
    ours, peer, beside_old = prepare()
    our_verdicts, peer_verdicts = ask(ours), ask(peer)
    old_verdicts = ask_group(beside_old, OLD_WHEELS)
    broken = _report(ours.name, our_verdicts) + _report(beside_old.name, old_verdicts)
    _report(peer.name, peer_verdicts)
    unexplained = [verdict for verdict in peer_verdicts if verdict.broken and not verdict.why]
    needless = [verdict for verdict in peer_verdicts if not verdict.broken and verdict.why]
    for words, verdicts in (("no explanation", unexplained), ("nothing to explain", needless)):
        for verdict in verdicts:
            print(f"{words}: {verdict.group}: {verdict.what}: {verdict.broken}")
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(table(peer.name, peer_verdicts))
    failed = broken + len(unexplained) + len(needless)
    print(f"{len(our_verdicts) + len(old_verdicts) - broken} passed, {failed} failed")
    return 1 if failed else 0


def _report(name: str, verdicts: list[Verdict]) -> int:
    broken = [verdict for verdict in verdicts if verdict.broken]
    print(f"{name}: {len(verdicts) - len(broken)} of {len(verdicts)} cases as the contract says")
    for verdict in broken:
        print(f"  {verdict.group}: {verdict.what}: {verdict.broken}")
    return len(broken)


def ask(server: Server) -> list[Verdict]:
    return [verdict for group in GROUPS for verdict in ask_group(server, group)]


def ask_group(server: Server, group: Group) -> list[Verdict]:
    try:
        with serving(server, group.driver, group.environment, group.files) as port:
            if group.exit_code is not None:
                return [Verdict(group.name, "the process ends", "it serves", group.why)]
            return [
                Verdict(group.name, case.what, judged(port, case), case.why or group.why)
                for case in group.cases
            ]
    except EndedError as error:
        if group.exit_code is None:
            broken = f"it does not start: exit code {error.exit_code}"
            return [Verdict(group.name, case.what, broken, case.why or group.why) for case in group.cases]
        broken = "" if error.exit_code == group.exit_code else f"exit code {error.exit_code}"
        return [Verdict(group.name, f"the process ends with {group.exit_code}", broken, group.why)]


def judged(port: int, case: Case) -> str:
    """What the answer lacks; empty when it is right."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request(case.method, case.path, case.body, dict(case.sent))
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({type(error).__name__})"
    finally:
        connection.close()
    if response.status != case.status:
        return f"status {response.status}"
    for name, value in case.headers.items():
        if response.headers.get(name) != value:
            return f"{name}: {response.headers.get(name)}"
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


def table(peer: str, verdicts: list[Verdict]) -> str:
    """Markdown; nothing in it changes from run to run."""
    differences = [verdict for verdict in verdicts if verdict.broken]
    count = Counter(bool(verdict.broken) for verdict in verdicts)
    lines = [
        "# How the scoring runtime differs from its predecessor",
        "",
        "Generated by `make conformance-scoring`; do not edit.",
        f"Of {len(verdicts)} cases of the contract {peer} answers {count[False]} alike. In the others",
        "the runtime does what the table says, and the peer does not:",
        "",
        "| driver | case | the peer | why ours does not follow |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {one.group} | {one.what} | {one.broken.replace('|', '/')} | {one.why} |" for one in differences
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
