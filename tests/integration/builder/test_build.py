"""Images from the Docker builder, and failures of builds."""

from __future__ import annotations

import base64
import io
import json
import re
import signal
import socket
import time
import zipfile
from collections.abc import Callable

import docker
import httpx
import pytest
from tests.integration.builder.conftest import Builds

from modelyard.contract.build_pod import BuildVariable
from modelyard.contract.build_request import (
    BuildRequest,
    ModelInput,
    Source,
    Step,
)
from modelyard.oci import RegistryClient
from modelyard.oci.errors import (
    RegistryForbiddenError,
    RegistryUnavailableError,
)
from modelyard.oci.registry_config import RegistryAccess

Served = Callable[[str], httpx.Client]


def _data(content: bytes) -> str:
    return "data:application/octet-stream;base64," + base64.b64encode(content).decode()


def _model(content: bytes, *, name: str = "model.txt", version: int = 1, unpack: bool = False) -> ModelInput:
    return ModelInput(name=name, version=version, source=Source(url=_data(content), unpack=unpack))


def _zip(**entries: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def _score(client: httpx.Client) -> dict[str, object]:
    answer = client.post("/score", json={"x": 1})
    assert answer.status_code == 200, answer.text
    scored: dict[str, object] = answer.json()
    assert scored.pop("body") == {"x": 1}
    return scored


ONE_FILE = (_model(b"weights", name="it's $HOME 100%.txt"),)
ONE_FOLDER = (_model(_zip(a="1", deep__b="2"), name="folder", unpack=True),)
SEVERAL = (_model(b"one", name="m", version=1), _model(b"two", name="m", version=2), _model(b"n", name="n"))


@pytest.mark.parametrize(
    ("models", "folder", "files"),
    [
        (ONE_FILE, "/var/azureml-models/it's $HOME 100%.txt", {"it's $HOME 100%.txt": "weights"}),
        (ONE_FOLDER, "/var/azureml-models/folder", {"a": "1", "deep/b": "2"}),
        (SEVERAL, "/var/azureml-models", {"m/1/m": "one", "m/2/m": "two", "n/1/n": "n"}),
    ],
    ids=["one file", "one folder", "several"],
)
def test_image_serves_its_models(
    builds: Builds, served: Served, models: tuple[ModelInput, ...], folder: str, files: dict[str, str]
) -> None:
    request = builds.request(*models)
    ran = builds.run(request)
    assert ran.code == 0, ran.log
    assert re.fullmatch("sha256:[0-9a-f]{64}", ran.result.digest or "")
    assert _score(served(f"{request.repository}@{ran.result.digest}")) == {"dir": folder, "files": files}


REQUIREMENTS_DRIVER = """
import subprocess, sys, tomli_w
def init(): pass
def run(body):
    script = subprocess.run(["isort", "--version-number"], capture_output=True, text=True).stdout.strip()
    return {"dumped": tomli_w.dumps({"a": 1}), "script": script}
"""


def test_image_has_the_requirements_without_files_of_pip(
    builds: Builds, served: Served, engine: docker.DockerClient
) -> None:
    request = builds.request(
        driver=REQUIREMENTS_DRIVER, pip_requirements="tomli-w==1.2.0\nisort==6.0.1  # has a script\n"
    )
    pip_conf = builds.folder / "pip.conf"
    pip_conf.write_text("[global]\ntimeout = 77\n")
    ran = builds.run(request, **{BuildVariable.PIP_CONF: str(pip_conf)})
    assert ran.code == 0, ran.log
    image = f"{request.repository}@{ran.result.digest}"
    client = served(image)
    assert client.post("/score", json={}).json() == {"dumped": "a = 1\n", "script": "6.0.1"}
    history = json.dumps(engine.images.get(image).history())
    find = ["find", "/", "-xdev", "-name", "ca.pem", "-o", "-name", "pip.conf", "-path", "*modelyard*"]
    listed = engine.containers.run(image, find, user="0", remove=True)
    assert listed == b""
    assert "PIP_" not in history
    assert "pip install" not in history


def test_image_has_user_port_and_command(builds: Builds, engine: docker.DockerClient) -> None:
    request = builds.request(_model(b"x"))
    assert builds.run(request).code == 0
    config = engine.images.get(f"{request.repository}:{request.tag}").attrs["Config"]
    assert config["User"] == "10001"
    assert config["ExposedPorts"] == {"5001/tcp": {}}
    assert config["StopSignal"] == "SIGTERM"
    assert config["Cmd"] == ["python3", "-S", "-P", "-m", "modelyard.scoring"]
    assert config["Labels"]["modelyard.dev/test"] == "build"


def test_changed_model_rebuilds_its_own_layers_only(builds: Builds) -> None:
    first = builds.run(builds.request(_model(b"1")))
    second = builds.run(builds.request(_model(b"2")))
    assert (first.code, second.code) == (0, 0)
    assert "Running in" not in second.log.partition("models/0/")[0]
    assert "Running in" not in re.sub(r"(?s)\[Build\] Step \d+/\d+ : (ENV|LABEL).*", "", second.log)


def test_equal_inputs_have_the_tag_of_the_pushed_image(builds: Builds) -> None:
    with RegistryClient(RegistryAccess()) as registry:
        request = builds.request(_model(b"again"))
        image = f"{request.repository}:{request.tag}"
        assert registry.resolve(image) is None
        ran = builds.run(request)
        assert registry.resolve(image) == ran.result.digest
        reverted = builds.request(_model(b"again"))
        assert reverted.tag == request.tag
        assert builds.request(_model(b"other")).tag != request.tag


def _failure(builds: Builds, request: BuildRequest, **environment: str) -> tuple[str, Step, str, bool]:
    ran = builds.run(request, **environment)
    assert ran.code == 1, ran.log
    error = ran.result.error
    assert error is not None
    assert error.details[-1].message in ran.log
    return error.code, error.step, error.message, error.transient


def test_missing_version_of_a_package_fails_the_build(builds: Builds) -> None:
    request = builds.request(pip_requirements="tomli-w==99.99\n")
    code, step, message, transient = _failure(builds, request)
    assert (code, step, transient) == ("PipFailed", Step.BUILD, False)
    assert "No matching distribution found for tomli-w==99.99" in message


def test_unreachable_package_index_is_transient(builds: Builds) -> None:
    pip_conf = builds.folder / "pip.conf"
    pip_conf.write_text("[global]\nindex-url = http://127.0.0.1:1/simple\nretries = 1\n")
    request = builds.request(pip_requirements="tomli-w==1.2.0\n")
    code, step, _, transient = _failure(builds, request, **{BuildVariable.PIP_CONF: str(pip_conf)})
    assert (code, step, transient) == ("PackageIndexUnavailable", Step.BUILD, True)


def test_missing_base_image_fails_the_build(builds: Builds) -> None:
    request = builds.request().model_copy(
        update={"base_image": f"{builds.registry}/modelyard-tests/nothing:1"}
    )
    code, step, message, _ = _failure(builds, request)
    assert (code, step) == ("BaseImageNotFound", Step.BUILD)
    assert "modelyard-tests/nothing:1 does not exist" in message


def _closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_unreachable_registry_is_transient(builds: Builds) -> None:
    down = f"localhost:{_closed_port()}"
    request = builds.request().model_copy(update={"repository": f"{down}/{builds.repository}"})
    code, step, message, transient = _failure(builds, request)
    assert (code, step, transient) == ("RegistryUnavailable", Step.PUSH, True)
    assert down in message
    with RegistryClient(RegistryAccess()) as registry, pytest.raises(RegistryUnavailableError):
        registry.resolve(f"{down}/x:1")


def test_registry_with_a_login_needs_credentials(builds: Builds, guarded_registry: str) -> None:
    request = builds.request().model_copy(
        update={"repository": f"{guarded_registry}/{builds.repository}", "tag": "1"}
    )
    code, step, _, transient = _failure(builds, request)
    assert (code, step, transient) == ("RegistryForbidden", Step.PUSH, False)
    config = builds.folder / ".dockerconfigjson"
    login = {"auth": base64.b64encode(b"me:s3cret").decode()}
    config.write_text(json.dumps({"auths": {guarded_registry: login}}))
    ran = builds.run(request, **{BuildVariable.REGISTRY_CONFIG: str(config)})
    assert ran.code == 0, ran.log
    with RegistryClient(RegistryAccess(config=config)) as registry:
        assert registry.resolve(f"{request.repository}:1") == ran.result.digest
    with RegistryClient(RegistryAccess()) as registry, pytest.raises(RegistryForbiddenError):
        registry.resolve(f"{request.repository}:1")


def test_missing_model_fails_the_build_at_the_fetch_step(builds: Builds) -> None:
    source = Source(url=f"oci://{builds.registry}/modelyard-tests/nothing:1")
    request = builds.request(ModelInput(name="m", version=2, source=source))
    code, step, message, _ = _failure(builds, request)
    assert (code, step) == ("SourceNotFound", Step.FETCH)
    assert message.startswith("model m:2: ")


class SilentIndex:
    """A package index that accepts a connection and never responds."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(120)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/simple"

    def wait(self) -> None:
        self._connection, _ = self._listener.accept()

    def close(self) -> None:
        self._connection.close()
        self._listener.close()


def test_cancelled_build_leaves_no_container(builds: Builds, engine: docker.DockerClient) -> None:
    index = SilentIndex()
    pip_conf = builds.folder / "pip.conf"
    pip_conf.write_text(f"[global]\nindex-url = {index.url}\ntimeout = 120\n")
    with builds.started(builds.request(), **{BuildVariable.PIP_CONF: str(pip_conf)}) as (
        process,
        termination_log,
    ):
        index.wait()
        running = _pip_containers(engine)
        assert running
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
        assert not termination_log.exists()
    end = time.monotonic() + 20
    while (left := _pip_containers(engine) & running) and time.monotonic() < end:
        time.sleep(0.2)
    index.close()
    assert not left


def _pip_containers(engine: docker.DockerClient) -> set[str]:
    """Return the ids of containers that install the runtime, those of concurrent builds included."""
    found = engine.api.containers(all=True)
    return {container["Id"] for container in found if "--target /opt/modelyard" in container["Command"]}
