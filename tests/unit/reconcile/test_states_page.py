"""docs/states.md and docs/troubleshooting.md have each reason of the condition Ready of an object."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from modelyard import reconcile
from modelyard.reconcile.builds.failure_table import TABLE

ROW: Final = re.compile(r"\| (?:Model|Manifest|Image|Service) \|[^|]*\|[^|]*\| `(\w+)` \|.*")
PAGE: Final = Path(__file__).parents[3] / "docs" / "states.md"
TROUBLESHOOTING: Final = PAGE.with_name("troubleshooting.md")
WORD: Final = re.compile(r"[A-Z][A-Za-z]+")
NO_REASONS: Final = frozenset(
    {
        # other conditions of a Service, and events
        *("Available", "NoReplica", "ReplicaAvailable", "ScalesToZero", "RollPending"),
        *("AppInsights", "TokenRequest", "OutOfMemory"),
        *("DataCollection", "Working", "NotSupported", "NotConfigured", "NoReport", "NoRecords", "NoAnswer"),
        *("NoCollector", "Running"),
        *("DeviceUnhealthy", "Unhealthy"),
        *("RollsStopped", "WaitingForTurn", "ReplicaFailure", "ChildContested"),
        *(
            "RouteReady",
            "RouteProgrammed",
            "RoutePending",
            "AddressTaken",
            "CertificateMissing",
            "NotOffered",
        ),
        *("GatewayMissing", "GatewayNotProgrammed", "ListenerMissing", "ListenerNotProgrammed"),
        *("Autoscaling", "FixedReplicas", "AtMaximum", "MetricMissing", "NotServed", "NoFigures"),
        *("TooManyReplicas", "ScalingLimited", "ScalingActive", "ScalingDisabled"),
        *("ScaledToZero", "Idle", "Active", "Waking", "ReplicaStarting", "Overdue"),
        # seconds: the status stays as it is while the registry answers, and a paused Deployment is resumed
        *("RegistryLookup", "RolloutPaused"),
        # words of Kubernetes, of the Gateway API and of HTTP bodies
        *(
            "Accepted",
            "ResolvedRefs",
            "Programmed",
            "InvalidCertificateRef",
            "RefNotPermitted",
            "BackendNotFound",
            "HTTP",
            "HTTPS",
        ),
        *("Ready", "Reconciling", "Stalled", "True", "False", "Normal", "Warning", "Reconcile", "Opaque"),
        *("Job", "Secret", "Log", "Pending", "Succeeded", "Failed", "Complete", "Evicted", "Progressing"),
        *("DeadlineExceeded", "DisruptionTarget", "ProgressDeadlineExceeded", "PodScheduled", "OOMKilled"),
        *(
            "NewReplicaSetAvailable",
            "CrashLoopBackOff",
            "CreateContainerConfigError",
            "CreateContainerError",
            "RunContainerError",
        ),
        *("ContainerCreating", "PodInitializing", "FailedMount", "FailedAttachVolume"),
        *("ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "Cancelled"),
    }
)
"""Words in the code that are no reasons."""


def test_each_reason_has_a_row() -> None:
    words = _words(Path(reconcile.__file__).parent)
    rows = {row[1] for line in PAGE.read_text().splitlines() if (row := ROW.fullmatch(line))}
    assert words - TABLE.keys() - NO_REASONS == rows - TABLE.keys() - {"Invalid"}  # Invalid: the API server's


def test_each_reason_has_a_way_out() -> None:
    reasons = {row[1] for line in PAGE.read_text().splitlines() if (row := ROW.fullmatch(line))}
    rows = [line for line in TROUBLESHOOTING.read_text().splitlines() if line.startswith("| `")]
    assert reasons <= {code for line in rows for code in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_each_condition_has_a_row() -> None:
    table = TROUBLESHOOTING.read_text().split("## Other conditions")[1].split("## ")[0]
    rows = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert set(_conditions(Path(reconcile.__file__).parent)) == rows | {"Ready"}


def test_list_of_other_words_is_current() -> None:
    assert _words(Path(reconcile.__file__).parent) >= NO_REASONS


def _words(folder: Path) -> set[str]:
    """Return all texts in the code of a folder that are one capitalized word."""
    trees = [ast.parse(file.read_text()) for file in folder.rglob("*.py") if file.name != "failure_table.py"]
    nodes = [node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {text for text in nodes if isinstance(text, str) and WORD.fullmatch(text)}


def _conditions(folder: Path) -> Iterator[str]:
    """Yield the types of conditions: keys of a dictionary that are constants, or whose value is a tuple."""
    for file in folder.rglob("*.py"):
        tree = ast.parse(file.read_text())
        constants = {
            node.target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(node.value, ast.Constant)
        }
        for key, value in _items(tree):
            word = constants.get(key.id) if isinstance(key, ast.Name) else getattr(key, "value", None)
            is_condition = isinstance(key, ast.Name) or isinstance(value, ast.Tuple)
            if is_condition and isinstance(word, str) and WORD.fullmatch(word):
                yield word


def _items(tree: ast.Module) -> Iterator[tuple[ast.AST | None, ast.AST]]:
    """Yield key and value of each entry of a dictionary and of each assignment to an entry."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            yield from zip(node.keys, node.values, strict=True)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            yield node.targets[0].slice, node.value
