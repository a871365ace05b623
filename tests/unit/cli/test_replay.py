"""The command `modelyard replay`, with real files and a real scoring process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.collected_rows import collected_row, write_rows
from tests.support.web_server import Request, Response, WebServer
from tests.unit.scoring.scoring_process import ScoringProcess, scoring_process, until

from modelyard.cli.main import main

DRIVER = """
import json
def init(): pass
def run(body):
    numbers = json.loads(body)["data"]
    if numbers == [13]:
        raise ValueError("unlucky")
    return {"sum": sum(numbers) + (0.25 if numbers[0] == 7 else 0), "texts": [str(one) for one in numbers]}
"""
RUNTIME = Path(__file__).parents[3] / "operator"
WINDOW = ["--namespace", "team", "--service", "m", "--from", "2026-11-03T08:00", "--to", "2026-11-03T09:00"]


@pytest.fixture(scope="module")
def scoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScoringProcess]:
    """A scoring process whose run() adds numbers, and is wrong for 7."""
    packages = os.pathsep.join(path for path in sys.path if "site-packages" in path)
    environment = {"PYTHONPATH": f"{RUNTIME}{os.pathsep}{packages}"}
    with scoring_process(tmp_path_factory.mktemp("scoring"), RUNTIME, DRIVER, environment) as scoring:
        until(scoring.is_ready, "the scoring process")
        yield scoring


def _row(number: int, **changes: Any) -> dict[str, Any]:
    return collected_row(number, {"data": [number]}, {"sum": number, "texts": [str(number)]}, **changes)


def _replay(store: Path, url: str, *arguments: str | Path) -> int:
    return main(["replay", str(store), *WINDOW, "--url", url, "--rate", "0", *map(str, arguments)])


def test_same_model_agrees_with_all_rows(
    tmp_path: Path, scoring: ScoringProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in range(3):
        rows = [_row(20 + 100 * file + number) for number in range(100)]
        write_rows(tmp_path, rows, f"{file}.{'jsonl' if file == 1 else 'parquet'}")

    code = _replay(tmp_path, f"http://127.0.0.1:{scoring.port}/score")

    output = capsys.readouterr().out.split()
    assert code == 0
    assert output[:2] == ["300", "rows"]
    assert output[output.index("equal") : output.index("different")] == ["equal", "300", "100", "%"]


def test_differences_are_reported_by_column_status_and_reason(
    tmp_path: Path, scoring: ScoringProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = _row(1, inputsReference="sha256:1", truncated=True)
    binary = _row(2, inputsReference="sha256:1") | {"inputs": None}
    write_rows(tmp_path, [_row(6), _row(7), _row(13), cut, binary])
    report, page = tmp_path / "report.json", tmp_path / "report.html"

    url = f"http://127.0.0.1:{scoring.port}/score"
    code = _replay(tmp_path, url, "--json", report, "--html", page)

    found = json.loads(report.read_bytes())
    assert code == 1
    assert (found["rows"], found["equal"], found["different"]) == (5, 1, 2)
    assert [one["column"] for one in found["columns"]] == ["sum"]
    assert found["columns"][0]["maximumDifference"] == 0.25
    assert found["statusChanges"] == [{"before": 200, "now": 500, "rows": 1}]
    assert found["skipped"] == {"cut inputs": 1, "binary inputs, or inputs that are not kept": 1}
    assert found["examples"] == [{"requestId": "r7", "column": "sum", "before": "7", "now": "7.25"}]
    assert "<svg" in page.read_text()
    assert "sum" in capsys.readouterr().out
    assert _replay(tmp_path, url, "--max-differences", "2") == 0
    assert _replay(tmp_path, url, "--max-differences", "1", "--tolerance", "0.5") == 0
    assert _replay(tmp_path, url, "--max-differences", "1", "--ignore", "sum") == 0


def test_limit_bounds_the_rows(
    tmp_path: Path, scoring: ScoringProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path, [_row(20 + number) for number in range(200)])

    assert _replay(tmp_path, f"http://127.0.0.1:{scoring.port}/score", "--limit", "70") == 0
    assert capsys.readouterr().out.startswith("70 rows")


def test_key_comes_from_the_environment_or_a_file_and_is_never_printed(
    tmp_path: Path, web: WebServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path, [_row(20)])
    web.respond = lambda request: Response(200, json.dumps({"sum": 20, "texts": ["20"]}).encode())
    (tmp_path / "key").write_text("from-file\n")
    monkeypatch.setenv("MODELYARD_KEY", "from-environment")

    assert _replay(tmp_path, f"{web.url}/score") == 0
    assert _replay(tmp_path, f"{web.url}/score", "--key-file", tmp_path / "key") == 0

    sent = [request.headers["authorization"] for request in web.requests]
    assert sent == ["Bearer from-environment", "Bearer from-file"]
    output = capsys.readouterr()
    assert "from-" not in output.out + output.err


def test_refused_key_and_dead_target_end_with_the_way_out(
    tmp_path: Path, web: WebServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path, [_row(20 + number) for number in range(100)])
    web.respond = lambda _: Response(401)
    assert _replay(tmp_path, f"{web.url}/score") == 2
    assert "MODELYARD_KEY" in capsys.readouterr().err

    monkeypatch.setattr("modelyard.replay.client._ATTEMPTS", 1)
    assert _replay(tmp_path, "http://127.0.0.1:9/score") == 2
    output = capsys.readouterr()
    assert "does not answer" in output.err
    assert output.out.startswith("The replay ended early")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "soon"], "neither an age"),
        (["--from", "2026-11-03T10:00"], "--from must be before --to"),
        (["--service", "../other"], "not a name"),
        (["--ignore", "a..b"], "not a path"),
        (["--key-file", "/no/such/file"], "/no/such/file"),
        (["--json", "/no/such/folder/report"], "/no/such/folder/report"),
        (["--version", "2"], "the window has no rows"),
    ],
)
def test_invalid_arguments_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    write_rows(tmp_path, [_row(20)])

    assert _replay(tmp_path, "http://127.0.0.1:9/score", *arguments) == 2
    assert message in capsys.readouterr().err


def test_damaged_file_is_named_and_the_rows_before_it_are_reported(
    tmp_path: Path, scoring: ScoringProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path, [_row(20 + number) for number in range(100)], "1.parquet")
    write_rows(tmp_path, [_row(20)], "2.parquet").write_bytes(b"no Parquet")

    assert _replay(tmp_path, f"http://127.0.0.1:{scoring.port}/score", "--concurrency", "1") == 2
    output = capsys.readouterr()
    assert "2.parquet is not a readable Parquet file" in output.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_replay_reports_the_rows_until_then(tmp_path: Path, web: WebServer, number: int) -> None:
    write_rows(tmp_path, [_row(20 + one) for one in range(500)])

    def respond(request: Request) -> Response:
        if len(web.requests) > 50:
            time.sleep(0.05)
        data = json.loads(request.body)["data"]
        return Response(200, json.dumps({"sum": data[0], "texts": [str(data[0])]}).encode())

    web.respond = respond
    command = [sys.executable, "-m", "modelyard", "replay", tmp_path, *WINDOW, "--url", f"{web.url}/score"]
    with subprocess.Popen(
        [*command, "--rate", "0", "--concurrency", "2", "--json", tmp_path / "report"],
        env=os.environ | {"PYTHONPATH": str(RUNTIME)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until(lambda: len(web.requests) > 60 or process.poll() is not None, "requests of the replay")
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)

    assert process.returncode == 130, errors
    assert output.startswith("The replay ended early"), errors
    report = json.loads((tmp_path / "report").read_bytes())
    assert 0 < report["rows"] < 500
    assert report["equal"] == report["rows"]
    assert not report["complete"]


def test_image_without_docker_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path, [_row(20)])
    monkeypatch.setenv("PATH", str(tmp_path))

    assert main(["replay", str(tmp_path), *WINDOW, "--image", "m"]) == 2
    assert "needs the program docker" in capsys.readouterr().err
