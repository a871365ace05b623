"""From SIGTERM to exit code 0: no accepted request is lost, no connection is reset."""

import threading
from pathlib import Path

import pytest
from tests.unit.scoring.conftest import GATED_DRIVER, Gates
from tests.unit.scoring.scoring_process import (
    Response,
    ScoringProcess,
    read_response,
    request_on,
    send_request,
    until,
)

ECHO = "def init(): pass\ndef run(data): return data\n"


def draining(scoring: ScoringProcess) -> bool:
    return scoring.request("GET", "/ready").body == b"Draining"


def test_accepted_requests_finish_during_the_drain(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_MAX_CONCURRENT_REQUESTS="2", MODELYARD_QUEUE_TIMEOUT_MS="60000")
    with scoring.connection() as idle, scoring.connection() as running, scoring.connection() as sending:
        assert request_on(idle, "POST", "/score", b"").headers.get("connection") is None
        send_request(running, "POST", "/score", b"one")
        gates.wait_begun("one")
        sending.sendall(b"POST /score HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nth")

        scoring.terminate()
        until(lambda: draining(scoring), "draining")

        on_idle = request_on(idle, "POST", "/score", b"")
        sending.sendall(b"ree")
        gates.wait_begun("three")
        gates.open("three")
        on_sending = read_response(sending)
        gates.open("one")
        on_running = read_response(running)

        assert [response.status for response in (on_idle, on_sending, on_running)] == [200, 200, 200]
        assert {response.headers["connection"] for response in (on_idle, on_sending, on_running)} == {"close"}
        assert on_running.json() == "scored one"
        assert [connection.recv(1) for connection in (idle, sending, running)] == [b"", b"", b""]
    assert scoring.exit_code() == 0


def test_long_run_finishes_after_the_port_is_closed(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER)

    with scoring.connection() as running:
        send_request(running, "POST", "/score", b"one")
        gates.wait_begun("one")
        scoring.terminate()
        until(lambda: not scoring.is_listening(), "the port to close")
        gates.open("one")
        assert read_response(running).json() == "scored one"
    assert scoring.exit_code() == 0


def test_idle_connections_are_closed_without_a_reset(serve) -> None:
    scoring = serve(ECHO)

    with scoring.connection() as used, scoring.connection() as unused:
        request_on(used, "POST", "/score", b"x")
        scoring.terminate()
        assert scoring.exit_code() == 0
        assert (used.recv(1), unused.recv(1)) == (b"", b"")


def test_request_that_outlasts_the_drain_time_gets_503(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_DRAIN_SECONDS="2")

    with scoring.connection() as running:
        send_request(running, "POST", "/score", b"one")
        gates.wait_begun("one")
        scoring.terminate()
        response = read_response(running)

    assert (response.status, response.message) == (503, "Shutting down: the time for draining is over.")
    assert scoring.exit_code() == 0


def test_thread_of_the_driver_does_not_keep_the_process(serve) -> None:
    init = "def init(): threading.Thread(target=threading.Event().wait, daemon=False).start()\n"
    scoring = serve("import threading\n" + init + "def run(data): return data\n", MODELYARD_DRAIN_SECONDS="2")

    scoring.terminate()

    assert scoring.exit_code() == 0


def test_signal_before_the_server_is_loaded_ends_the_process(serve) -> None:
    """The front starts a worker before it loads the server: the worker's start is the right moment."""
    scoring = serve(ECHO, wait_ready=False)
    pid = scoring.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    until(children.read_text, "the worker process", poll_seconds=0.0005)

    scoring.terminate()

    assert scoring.exit_code() == 0


@pytest.mark.parametrize("wait_ready", [True, False])
def test_exit_handlers_of_the_driver_run(serve, wait_ready: bool) -> None:
    driver = "import atexit, time\natexit.register(print, 'goodbye')\nprint('imported')\n"
    init = "def init(): pass\n" if wait_ready else "def init(): time.sleep(3600)\n"
    scoring = serve(driver + init + "def run(data): return data\n", wait_ready=wait_ready)
    until(lambda: "imported" in scoring.log, "the import")

    scoring.terminate()

    assert scoring.exit_code() == 0
    assert "goodbye" in scoring.log.splitlines()


def test_drain_under_load_loses_no_request(serve) -> None:
    """Clients on open connections that do not return after a close, as when traffic has moved away."""
    scoring = serve(ECHO, MODELYARD_QUEUE_TIMEOUT_MS="60000")
    lock = threading.Lock()
    responses: list[Response] = []
    failures: list[Exception] = []

    def client() -> None:
        try:
            with scoring.connection() as connection:
                while True:
                    response = request_on(connection, "POST", "/score", b"x" * 1000)
                    with lock:
                        responses.append(response)
                    if response.headers.get("connection") == "close":
                        return
        except Exception as error:
            failures.append(error)

    clients = [threading.Thread(target=client) for _ in range(8)]
    for thread in clients:
        thread.start()
    until(lambda: len(responses) > 200, "load")
    scoring.terminate()
    for thread in clients:
        thread.join()

    assert failures == []
    assert {response.status for response in responses} == {200}
    assert scoring.exit_code() == 0
