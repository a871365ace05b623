"""Minimal objects of the four kinds, and the drivers of their Services."""

from __future__ import annotations

from typing import Any, Final

from tests.support.cluster import Json

MODEL_DRIVER: Final = """\
import os
import pathlib

THREAD_SAFE = True


def init():
    global answer
    (file,) = [path for path in pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).rglob("*") if path.is_file()]
    answer = file.read_text()


def run(body):
    return answer
"""
CRASHING_DRIVER: Final = """\
def init():
    raise RuntimeError("the weights are not what they seem")


def run(body):
    return body
"""
WAITING_DRIVER: Final = """\
import time

THREAD_SAFE = True


def init():
    pass


def run(body):
    time.sleep(0.1)
    return "done"
"""
"""A driver that takes 100 ms and no CPU time, like one that waits for a database or a GPU."""
CONTAINER_DRIVER: Final = """\
import getpass
import multiprocessing
import os
import pathlib
import pwd
import tempfile


def init():
    pass


def square(number):
    return number * number


def names(_):
    return [getpass.getuser(), pwd.getpwuid(os.getuid()).pw_name]


def run(body):
    cache = pathlib.Path("~/.cache/models").expanduser()
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "weights").write_text("1")
    with tempfile.NamedTemporaryFile(), multiprocessing.get_context("spawn").Pool(1) as pool:
        return [names(0), pool.map(names, range(1)), pool.map(square, range(3)), str(cache)]
"""
"""A driver that needs a user name, child processes and folders to write."""
CONTAINER_ANSWER: Final = [
    ["modelyard", "modelyard"],
    [["modelyard", "modelyard"]],
    [0, 1, 4],
    "/tmp/.cache/models",
]
"""The response of CONTAINER_DRIVER in a container."""
TYPED_DRIVER: Final = """\
THREAD_SAFE = True


def init():
    pass


def run(index: int, ages: list[int]) -> list[float]:
    return [age + 0.5 for age in ages]
"""
"""A driver that declares its input and its output."""
STREAM_DRIVER: Final = """\
import pathlib
import time

THREAD_SAFE = True
RELEASE = pathlib.Path("/tmp/release")


def init():
    pass


def pieces():
    yield "first "
    while not RELEASE.exists():
        time.sleep(0.01)
    yield "last"


def run(body):
    if body == "stream":
        RELEASE.unlink(missing_ok=True)
        return pieces()
    if body == "release":
        RELEASE.touch()
    return len(body)
"""
"""A driver that returns the length of its body. For the body "stream", it returns two pieces, the second one
after a request with the body "release"."""


def constant_driver(answer: str) -> str:
    """Return a driver whose every response is `answer`."""
    return f"THREAD_SAFE = True\n\n\ndef init():\n    pass\n\n\ndef run(body):\n    return {answer!r}\n"


def model(name: str, url: str, **spec: Any) -> Json:
    """Return a Model with a URL."""
    return _object("Model", name, {"url": url, "mimeType": "application/octet-stream", **spec})


def manifest(name: str, driver: str, *models: str, **properties: str) -> Json:
    """Return a Manifest with an inline driver."""
    return _object(
        "Manifest",
        name,
        {
            "modelIds": list(models),
            "driverProgram": "driver",
            "assets": [{"id": "driver", "mimeType": "text/x-python", "content": driver}],
            "targetRuntime": {"runtimeType": "Python", "properties": properties},
        },
    )


def image(name: str) -> Json:
    """Return an Image of the Manifest of the same name."""
    return _object("Image", name, {"manifestId": name, "imageType": "Docker"})


def service(name: str, image_id: str, **spec: Any) -> Json:
    """Return a Service, by default with one small replica."""
    replicas = {} if "autoScaler" in spec else {"numReplicas": 1}
    small = {"cpu": "10m", "memory": "64Mi"}
    defaults = {"containerResourceReservation": small, "maxConcurrentRequestsPerContainer": 8}
    return _object("Service", name, {"imageId": image_id, **replicas, **defaults, **spec})


def _object(kind: str, name: str, spec: Json) -> Json:
    return {
        "apiVersion": "modelyard.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    }  # fmt: skip
