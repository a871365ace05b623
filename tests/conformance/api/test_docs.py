"""The commands of docs/rest-api.md: together they lead from a file to a response of a service."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import uuid
from pathlib import Path
from typing import Final

import pytest
from tests.conformance.api.conftest import trusted
from tests.support.cluster import ROOT, Kubectl

_CHAPTER: Final = re.compile(r"^## From a file to an answer$(.*?)^## ", re.DOTALL | re.MULTILINE)
_BLOCK: Final = re.compile(r"^```console$(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND: Final = re.compile(r"^\$ (.*(?:\n    .*)*)", re.MULTILINE)
_PORTS: Final = ("8443", "8000")
_ACCOUNT: Final = "tour"


def _commands() -> list[str]:
    chapter = _CHAPTER.search((ROOT / "docs/rest-api.md").read_text(encoding="utf-8"))
    assert chapter
    return [command for block in _BLOCK.findall(chapter[1]) for command in _COMMAND.findall(block)]


def _free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def _wait_for_port(command: str) -> str:
    """Return the command; after a port-forward in the background, wait until its port accepts connections."""
    port = re.search(r" (\d+):\d+ &$", command)
    if port is None:
        return command
    return f"{command}\nuntil (: </dev/tcp/127.0.0.1/{port[1]}) 2>/dev/null; do sleep 0.2; done"


@pytest.mark.skipif("GATEWAY_URL" in os.environ, reason="the commands are for the installed gateway")
def test_tour_of_the_docs_leads_to_an_answer(base_url: str, tmp_path: Path) -> None:
    (tmp_path / "tls.crt").write_text(trusted(base_url) or "", encoding="utf-8")
    account = f"{_ACCOUNT}-{uuid.uuid4().hex[:8]}"
    script = "\n".join(["trap 'kill $(jobs -p)' EXIT", *map(_wait_for_port, _commands())])
    script = re.sub(rf"\b{_ACCOUNT}\b", account, script)
    for port in _PORTS:
        script = script.replace(port, _free_port())
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            capture_output=True, text=True, timeout=180, check=False, cwd=tmp_path,
        )  # fmt: skip
    finally:
        Kubectl(account)("delete", "namespace", account, "--ignore-not-found", "--wait=false")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("42.0")
