"""Runbooks as a person on call uses them: the commands of a page while its alert fires."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from tests.docs.pages import examples
from tests.support.cluster import OPERATOR_NAMESPACE
from tests.support.prometheus import Prometheus, until

_VARIABLES: Final = ("namespace", "service", "name")
"""Labels of alerts that the commands read, in capital letters."""
# Texts of bash, kubectl and jq about a command that cannot run as written, in any state of the cluster.
_UNUSABLE: Final = re.compile(
    r"unbound variable|command not found|unknown (flag|command|shorthand)|doesn't have a resource type"
    r"|a resource cannot be retrieved by name|must specify|jq: error|syntax error|no such file"
    r"|\(Forbidden\)|\(NotFound\)",
    re.IGNORECASE,
)
_SECONDS: Final = 120


def expect_alerts(
    prometheus: Prometheus,
    causes: dict[str, str],
    *namespaces: str,
    repeat: Callable[[], object] = lambda: None,
) -> None:
    """Wait until alerts fire; the commands of each one's runbook print the text of its cause.

    `causes` has the texts by the names of the alerts. Alerts of other namespaces than those of the arguments
    and of the release do not count. `repeat` is called before each look at the alerts.
    """
    found: dict[str, Future[str]] = {}

    def missing() -> set[str]:
        repeat()
        for alert in prometheus.alerts():
            name, namespace = alert["alertname"], alert.get("namespace", OPERATOR_NAMESPACE)
            if name in causes.keys() - found.keys() and namespace in {*namespaces, OPERATOR_NAMESPACE}:
                found[name] = pool.submit(diagnose, alert)
        return causes.keys() - found.keys()

    with ThreadPoolExecutor() as pool:
        until(missing, "alerts do not fire", seconds=150)
        outputs = {name: output.result() for name, output in found.items()}
    wrong = {name: text for name, text in outputs.items() if causes[name] not in text}
    assert not wrong, f"the cause is missing: {wrong}"


def diagnose(alert: dict[str, str]) -> str:
    """Run the commands of an alert's runbook with the labels of the alert, and return all output.

    Raises AssertionError if a command cannot run as it stands on the page.
    """
    page = f"docs/runbooks/{alert['alertname']}.md"
    blocks = [each for each in examples(page) if each.language == "bash"]
    # Some blocks need a tool that no test cluster has. Others are excluded from the tests of the pages only.
    (block,) = [each for each in blocks if not each.skipped or "tests/e2e" in each.skipped]
    settings = [f"{name.upper()}={alert[name]}" for name in _VARIABLES if name in alert]
    done = subprocess.run(
        ["env", *settings, "bash", "-u", "-c", block.text],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    output = done.stdout + done.stderr
    assert not _UNUSABLE.search(output), f"{block.place}: {output}"
    return output
