"""`modelyard serve`: a driver on a laptop."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.unit.scoring.scoring_process import free_port, until

from modelyard.scoring.taken_port import listen_error

ECHO = "import os\ndef init(): pass\ndef run(data): return [{version}, os.environ.get('AZUREML_MODEL_DIR')]\n"

WAITS_FOR_ANOTHER_PROCESS = """
import os, pathlib, time
here = pathlib.Path(__file__).parent
def record(name):
    (here / name).mkdir(exist_ok=True)
    (here / name / str(os.getpid())).touch()
def init():
    record("inits")
def run(data):
    # waits until it runs in two processes at once
    record("runs")
    until = time.monotonic() + 20
    while len(list((here / "runs").iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    return sorted(file.name for file in (here / "runs").iterdir())
"""


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    command = [sys.executable, "-m", "modelyard", "serve", "--port", str(port), *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process, port
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def score(port: int, host: str = "127.0.0.1") -> Any:
    """Return the result of a scoring request, None if no server listens."""
    with (
        suppress(OSError),
        urllib.request.urlopen(f"http://{host}:{port}/score", b"x", timeout=5) as response,
    ):
        return json.loads(response.read())
    return None


def test_server_restarts_when_the_driver_changes(tmp_path: Path) -> None:
    driver, model = tmp_path / "score.py", tmp_path / "model.bin"
    model.touch()
    driver.write_text(ECHO.format(version=1))
    with serving(str(driver), "--model", str(model)) as (_, port):
        assert until(lambda: score(port), "the first driver") == [1, str(tmp_path)]
        driver.write_text("def init(: broken")
        driver.write_text(ECHO.format(version=22))
        assert until(lambda: (result := score(port)) and result[0] == 22, "the second driver")


def test_server_listens_on_loopback_unless_a_host_is_given(tmp_path: Path) -> None:
    driver = tmp_path / "score.py"
    driver.write_text(ECHO.format(version=1))
    with serving(str(driver), "--no-reload") as (_, port):
        until(lambda: score(port), "the driver")
        assert score(port, "127.0.0.2") is None
    with serving(str(driver), "--no-reload", "--host", "0.0.0.0") as (_, port):
        assert until(lambda: score(port, "127.0.0.2"), "the driver at another address")


def test_workers_option_starts_processes(tmp_path: Path) -> None:
    driver = tmp_path / "score.py"
    driver.write_text(WAITS_FOR_ANOTHER_PROCESS)
    with serving(str(driver), "--no-reload", "--workers", "2") as (_, port):
        until(
            lambda: (tmp_path / "inits").exists() and len(list((tmp_path / "inits").iterdir())) == 2, "init()"
        )
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda _: until(lambda: score(port), "both"), range(2))

    assert first == second
    assert len(set(first)) == 2


def test_broken_driver_is_reported_until_its_file_changes(tmp_path: Path) -> None:
    driver = tmp_path / "score.py"
    driver.write_text("import no_such_module\n")
    with serving(str(driver)) as (process, port):
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        line = next(line for line in lines if "critical" in line)
        assert "No module named 'no_such_module'" in line
        next(line for line in lines if "waiting for a change" in line)
        driver.write_text(ECHO.format(version=1))
        assert until(lambda: score(port), "the driver")


def test_sigterm_ends_the_command(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(ECHO.format(version=1))
    with serving(str(tmp_path / "score.py")) as (process, port):
        until(lambda: score(port), "the driver")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert score(port) is None


def test_missing_file_is_named_in_the_error(tmp_path: Path) -> None:
    with serving(str(tmp_path / "none.py")) as (process, _):
        assert process.wait(20) == 2
        assert process.stderr is not None
        assert f"the file {tmp_path / 'none.py'} does not exist" in process.stderr.read()


def test_taken_port_is_named_with_its_process_and_a_free_port(tmp_path: Path) -> None:
    driver = tmp_path / "score.py"
    driver.write_text(ECHO.format(version=1))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "modelyard", "serve", str(driver), "--port", str(port)]
        ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=20, check=False)

    assert ended.returncode == 2
    assert f"the port {port} of 127.0.0.1 is taken by process {os.getpid()} (" in ended.stderr
    assert int(ended.stderr.rpartition("--port ")[2]) > port
    assert "Traceback" not in ended.stderr


def test_port_is_free_if_only_the_other_protocol_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert listen_error("::1", port) is None
        assert f"the port {port} of localhost is taken" in (listen_error("localhost", port) or "")


def test_address_of_another_machine_is_refused() -> None:
    assert listen_error("192.0.2.1", 5001) == (
        "cannot listen at 192.0.2.1 port 5001: Cannot assign requested address"
    )


def test_server_that_cannot_listen_says_why(serve) -> None:
    scoring = serve(ECHO.format(version=1), wait_ready=False, MODELYARD_HOST="192.0.2.1")

    assert scoring.exit_code() == 3
    (line,) = scoring.log_lines()
    assert (line["level"], "192.0.2.1" in line["message"]) == ("critical", True)
    assert line["message"].startswith("the server cannot listen: ")
    assert "Traceback" not in scoring.log
