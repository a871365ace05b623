"""Runs each program with the packages and in a scoring process of ours, and compares the outcomes."""

import http.client
import json
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.conformance.scoring.collectors.programs import PROGRAMS, Program
from tests.conformance.scoring.collectors.records import (
    driver_records,
    rows_of_files,
    rows_of_records,
    without_generated_ids,
)
from tests.conformance.scoring.servers import Server, prepare_collectors, serving

HERE = Path(__file__).parent
PEER_SECONDS = 120
MAX_TEXT = 150
"""Characters of an outcome on the page."""
INTRODUCTION = (
    "## The collectors of drivers",
    "",
    "`make conformance-scoring` also runs calls of [collectors](data-collection-drivers.md), here and with",
    "the real packages. These are azureml-ai-monitoring 1.0.0, azureml-monitoring 0.1.0a21 and",
    "azureml.datacollector 0.1.0a13. The suite compares rows, names, correlation ids, results, exceptions,",
    "`on_error` and warnings. The C++ library of the two older packages needs Ubuntu 16.04: a recorder in",
    "its place gets the bytes that the library would write.",
    "",
)
DRIVER_END = """
def init():
    Collector(name="the first one turns the ids of requests on")
def run(data):
    return outcome(data)
"""


@dataclass(frozen=True)
class Comparison:
    """A program with the difference of the package from ours; empty if there is none."""

    program: Program
    difference: str
    here: str
    """The outcome of ours in place of that."""


def compare(runtime: Server) -> list[Comparison]:
    """Run all programs on both sides."""
    ours, theirs = _outcomes_of_ours(runtime), _outcomes_of_the_packages()
    return [
        Comparison(program, *_difference(our, their))
        for program, our, their in zip(PROGRAMS, ours, theirs, strict=True)
    ]


def _outcomes_of_the_packages() -> list[dict[str, Any]]:
    python = prepare_collectors() / "bin" / "python"
    with tempfile.TemporaryDirectory() as name:
        programs, outcomes = Path(name) / "programs.json", Path(name) / "outcomes.json"
        programs.write_text(json.dumps([program.code for program in PROGRAMS]))
        run = subprocess.run(
            [python, HERE / "peer.py", programs, outcomes],
            timeout=PEER_SECONDS,
            check=False,
            text=True,
            capture_output=True,
        )
        if run.returncode:
            raise RuntimeError(f"the programs do not run with the packages: {run.stderr[-2000:]}")
        found = json.loads(outcomes.read_text())
    return [
        {**outcome, "kept": outcome.pop("sent") + rows_of_files(outcome.pop("files"))} for outcome in found
    ]


def _outcomes_of_ours(runtime: Server) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        spool = Path(name)
        collecting = replace(
            runtime, environment={**runtime.environment, "MODELYARD_COLLECTION_DIR": str(spool)}
        )
        driver = (HERE / "program_runner.py").read_text() + DRIVER_END
        with serving(collecting, driver, {}, {}) as port:
            outcomes = [
                _ask(port, f"request-{number}", program.code) for number, program in enumerate(PROGRAMS)
            ]
        records = driver_records(spool)
    for number, outcome in enumerate(outcomes):
        found = [
            (
                record.name,
                record.correlation_id,
                json.loads(record.request or record.response, parse_constant=_refuse),
            )
            for record in records
            if record.request_id == f"request-{number}"
        ]
        is_ai = PROGRAMS[number].package.endswith("ai.monitoring")
        outcome["kept"] = [list(one) for one in found] if is_ai else rows_of_records(found)
    return outcomes


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _ask(port: int, request_id: str, code: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/score", code.encode(), {"x-request-id": request_id})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        return {"result": f"status {response.status}", "errors": [], "warns": False}
    outcome: dict[str, Any] = json.loads(body)
    return outcome


def _difference(ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[str, str]:
    """Return the outcomes of the package and of ours as far as they differ; empty if they do not."""
    for our_row, their_row in zip(ours["kept"], theirs["kept"], strict=False):
        if not their_row[1] and our_row[1].startswith("request-"):
            our_row[1] = ""  # a record without an id has the request id; the page says so
    our_text, their_text = (
        without_generated_ids(
            json.dumps([one["result"], one["kept"], one["errors"], one["warns"]], sort_keys=True)
        )
        for one in (ours, theirs)
    )
    if our_text == their_text:
        return "", ""
    names = ("result", "keeps", "on_error", "warns")
    parts = zip(names, json.loads(their_text), json.loads(our_text), strict=True)
    different = [(name, _short(theirs), _short(ours)) for name, theirs, ours in parts if theirs != ours]
    return (
        ", ".join(f"{name}: {theirs}" for name, theirs, _ in different),
        ", ".join(f"{name}: {ours}" for name, _, ours in different),
    )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def section(comparisons: list[Comparison]) -> str:
    """Return the part of docs/scoring-differences.md about the collectors."""
    different = [one for one in comparisons if one.difference]
    lines = [
        *INTRODUCTION,
        f"{len(comparisons) - len(different)} of {len(comparisons)} programs have the same outcome.",
        "The table has the others, and the suite fails if one of its rows changes:",
        "",
        "| package | program | the package | here | reason |",
        "|---|---|---|---|---|",
    ]
    for one in different:
        program = one.program
        cells = (f"`{program.package}`", program.name, f"`{one.difference}`", f"`{one.here}`", program.why)
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join([*lines, ""])
