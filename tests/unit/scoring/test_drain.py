"""From SIGTERM to exit code 0: no accepted request is lost, no connection is reset."""

import threading
import time
from pathlib import Path

import pytest
from tests.unit.scoring.conftest import GATED_DRIVER, Gates
from tests.unit.scoring.running import Answer, ScoringProcess, ask_on, read_answer, send_request, until

ECHO = "def init(): pass\ndef run(data): return data\n"


def draining(scoring: ScoringProcess) -> bool:
    return scoring.ask("GET", "/ready").body == b"Draining"


def test_accepted_requests_finish(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_MAX_CONCURRENT_REQUESTS="2", MODELYARD_QUEUE_TIMEOUT_MS="60000")
    with scoring.connection() as kept, scoring.connection() as running, scoring.connection() as sending:
        assert ask_on(kept, "POST", "/score", b"").headers.get("connection") is None
        send_request(running, "POST", "/score", b"one")
        gates.wait_begun("one")
        sending.sendall(b"POST /score HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nth")

        scoring.terminate()
        until(lambda: draining(scoring), "draining")

        on_kept = ask_on(kept, "POST", "/score", b"")
        sending.sendall(b"ree")
        gates.wait_begun("three")
        gates.open("three")
        on_sending = read_answer(sending)
        gates.open("one")
        on_running = read_answer(running)

        assert [answer.status for answer in (on_kept, on_sending, on_running)] == [200, 200, 200]
        assert {answer.headers["connection"] for answer in (on_kept, on_sending, on_running)} == {"close"}
        assert on_running.json() == "scored one"
        assert [connection.recv(1) for connection in (kept, sending, running)] == [b"", b"", b""]
    assert scoring.exit_code() == 0


def test_a_long_run_finishes_after_the_port_is_closed(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER)

    with scoring.connection() as running:
        send_request(running, "POST", "/score", b"one")
        gates.wait_begun("one")
        scoring.terminate()
        until(lambda: not scoring.is_listening(), "the port to close")
        gates.open("one")
        assert read_answer(running).json() == "scored one"
    assert scoring.exit_code() == 0


def test_idle_connections_are_closed_without_a_reset(serve) -> None:
    scoring = serve(ECHO)

    with scoring.connection() as used, scoring.connection() as unused:
        ask_on(used, "POST", "/score", b"x")
        scoring.terminate()
        assert scoring.exit_code() == 0
        assert (used.recv(1), unused.recv(1)) == (b"", b"")


def test_the_drain_time_is_an_upper_bound(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_DRAIN_SECONDS="2")

    with scoring.connection() as running:
        send_request(running, "POST", "/score", b"one")
        gates.wait_begun("one")
        scoring.terminate()
        answer = read_answer(running)

    assert (answer.status, answer.message) == (503, "Shutting down: the time for draining is over.")
    assert scoring.exit_code() == 0


def test_a_thread_of_the_driver_does_not_keep_the_process(serve) -> None:
    init = "def init(): threading.Thread(target=threading.Event().wait, daemon=False).start()\n"
    scoring = serve("import threading\n" + init + "def run(data): return data\n", MODELYARD_DRAIN_SECONDS="2")

    scoring.terminate()

    assert scoring.exit_code() == 0


def test_a_signal_before_the_server_is_loaded(serve) -> None:
    """As soon as there is a worker; the front takes longer to load than to start it."""
    scoring = serve(ECHO, wait_ready=False)
    pid = scoring.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while not children.read_text():
        time.sleep(0.0005)

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


def test_no_request_is_lost_under_load(serve) -> None:
    """Clients on kept connections that do not come back after a close: traffic has moved away."""
    scoring = serve(ECHO, MODELYARD_QUEUE_TIMEOUT_MS="60000")
    lock = threading.Lock()
    answers: list[Answer] = []
    failures: list[Exception] = []

    def client() -> None:
        try:
            with scoring.connection() as connection:
                while True:
                    answer = ask_on(connection, "POST", "/score", b"x" * 1000)
                    with lock:
                        answers.append(answer)
                    if answer.headers.get("connection") == "close":
                        return
        except Exception as error:
            failures.append(error)

    clients = [threading.Thread(target=client) for _ in range(8)]
    for thread in clients:
        thread.start()
    until(lambda: len(answers) > 200, "load")
    scoring.terminate()
    for thread in clients:
        thread.join()

    assert failures == []
    assert {answer.status for answer in answers} == {200}
    assert scoring.exit_code() == 0
