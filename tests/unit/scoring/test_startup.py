"""From the start of the process to readiness, or to exit code 3."""

import socket
from pathlib import Path

import pytest
from tests.unit.scoring.scoring_process import request_on, until

RUN = "def run(data): return data\n"
INIT = "def init(): pass\n"

SLOW_INIT = (
    """
import os, pathlib, time
gate = pathlib.Path(os.environ["TEST_FOLDER"]) / "gate"
def init():
    while not gate.exists():
        time.sleep(0.01)
"""
    + RUN
)


def test_probes_answer_during_a_slow_init(serve, tmp_path: Path) -> None:
    scoring = serve(SLOW_INIT, wait_ready=False)
    until(scoring.is_listening, "the port")

    assert scoring.request("GET", "/").status == 200
    ready = scoring.request("GET", "/ready")
    assert (ready.status, ready.body) == (503, b"Initialising")
    early = scoring.score(b"x")
    assert (early.status, early.message) == (503, "The driver's init() has not finished yet.")
    assert early.headers["retry-after"] == "1"

    (tmp_path / "gate").touch()
    until(scoring.is_ready, "readiness")
    assert scoring.score(b"x").json() == "x"


def test_server_listens_at_every_address(serve) -> None:
    scoring = serve(INIT + RUN)
    with socket.create_connection(("127.0.0.2", scoring.port), timeout=20) as elsewhere:
        assert request_on(elsewhere, "POST", "/score", b"x").json() == "x"


def test_slow_init_fails_liveness_until_it_ends(serve, tmp_path: Path) -> None:
    scoring = serve(SLOW_INIT, wait_ready=False, MODELYARD_INIT_SECONDS="1")
    until(lambda: scoring.is_listening() and scoring.request("GET", "/").status == 503, "liveness to fail")
    assert scoring.request("GET", "/").body == b"init() has not ended after 1 s"
    (tmp_path / "gate").touch()
    until(scoring.is_ready, "readiness")
    assert scoring.request("GET", "/").status == 200


@pytest.mark.parametrize(
    ("driver", "message", "traceback"),
    [
        ("def init(:\n", "the import of the driver driver.py failed", "SyntaxError"),
        (
            "import no_such_module\n",
            "the import of the driver driver.py failed",
            "No module named 'no_such_module'",
        ),
        ("import sys; sys.exit(0)\n", "the import of the driver driver.py failed", "SystemExit: 0"),
        (
            "def init(): raise OSError('no model')\n" + RUN,
            "init() of the driver driver.py failed",
            "OSError: no model",
        ),
        ("def init(): exit(0)\n" + RUN, "init() of the driver driver.py failed", "SystemExit: 0"),
        (RUN, "the driver driver.py has no function init()", ""),
        (INIT, "the driver driver.py has no function run()", ""),
        (INIT + "def run(): pass\n", "run() must have a parameter for the data of the request", ""),
        (
            INIT + "def run(request_headers): pass\n",
            "run() must have a parameter for the data of the request",
            "",
        ),
        (
            INIT + "def run(*data): pass\n",
            "run() cannot have positional-only parameters, *args or **kwargs",
            "",
        ),
    ],
)
def test_driver_that_cannot_be_served_ends_the_process(
    serve, driver: str, message: str, traceback: str
) -> None:
    scoring = serve(driver, wait_ready=False)

    assert scoring.exit_code() == 3
    line = next(line for line in scoring.log_lines() if line["level"] == "critical")
    assert line["message"] == message
    assert traceback in line.get("exception", "")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AZUREML_ENTRY_SCRIPT": "other.py"}, "the driver file"),
        ({"AZUREML_ENTRY_SCRIPT": ""}, "AZUREML_ENTRY_SCRIPT is not set"),
        ({"SCORING_TIMEOUT_MS": "soon"}, "SCORING_TIMEOUT_MS must be a whole number"),
    ],
)
def test_invalid_environment_ends_the_process(serve, environment: dict[str, str], message: str) -> None:
    scoring = serve(INIT + RUN, wait_ready=False, **environment)

    assert scoring.exit_code() == 3
    assert message in scoring.log


def test_init_and_run_share_a_thread(serve) -> None:
    """Handles and switches that are bound to a thread (sqlite3, torch.set_grad_enabled) then work."""
    driver = "import threading\ndef init(): global t; t = threading.get_ident()\n"
    scoring = serve(driver + "def run(data): return t == threading.get_ident()\n")

    assert scoring.score(b"").json() is True
