"""A driver that writes its own messages to the front costs its own replica only: the front serves on."""

from __future__ import annotations

import json

import pytest

DRIVER = """
import json, os, stat, struct
def init(): pass
def run(data):
    if data == "ping":
        return "pong"
    data = json.loads(data)
    body = data["body"].encode()
    frame = struct.pack("<IIQHBdd", 0, len(body), data["number"], 200, data["outcome"], 0.0, 0.0)
    for name in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                os.write(int(name), frame + body)
        except OSError:
            pass
    return "written"
"""
FRAMES = [
    {"number": 10**9, "outcome": 0, "body": "x"},
    {"number": 0, "outcome": 4, "body": "no JSON"},
    {"number": 0, "outcome": 255, "body": "{}"},
    {"number": 1, "outcome": 6, "body": "99999999"},
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: f"{frame['number']}-{frame['outcome']}")
def test_front_answers_after_a_hostile_message(serve, frame: dict[str, object]) -> None:
    scoring = serve(DRIVER, MODELYARD_QUEUE_TIMEOUT_MS="20000")
    scoring.score(json.dumps(frame).encode())
    assert scoring.score(b"ping").json() == "pong"
    assert "modelyard_scoring_worker_restarts_total 1" in scoring.request("GET", "/metrics").body.decode()
