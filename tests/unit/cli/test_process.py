"""The end of the process `modelyard`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.web_server import WebServer

from modelyard import __main__ as process

RUNTIME = Path(__file__).parents[3] / "operator"


def test_thread_that_still_wakes_the_event_loop_does_not_abort_the_process(web: WebServer) -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("one_request.py"), f"{web.url}/"],
        env=os.environ | {"PYTHONPATH": str(RUNTIME)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "status 404\n", "")


@pytest.mark.parametrize("code", [0, 2])
def test_process_without_connections_ends_in_the_usual_way(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.delitem(sys.modules, "pyreqwest", raising=False)
    monkeypatch.setattr(process, "main", lambda: code)
    with pytest.raises(SystemExit) as ended:
        process.run()
    assert ended.value.code == code
