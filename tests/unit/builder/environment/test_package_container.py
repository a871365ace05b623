"""The container that installs users' packages, and the build that waits for it."""

from __future__ import annotations

import io
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.support.web_server import WebServer
from tests.unit.builder.environment.conftest import HERE, PLATFORM, Installer
from tests.unit.builder.environment.index import Index

from modelyard.builder.environment import package_container
from modelyard.builder.environment.guarded_installer import GuardedInstaller
from modelyard.builder.environment.package_container import PackageContainer
from modelyard.builder.environment.package_job import PackageJob, PackageKind
from modelyard.builder.environment.pip_settings import PipSettings
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.contract.build_pod import BuildVariable
from modelyard.contract.errors import InstallerKilledError, SourceDeniedError

MAIN = "from modelyard.builder.environment.package_container import main; main()"


class Containers:
    """Starts the process of the container."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        variables = {"PATH": os.environ["PATH"], BuildVariable.PACKAGES_SOCKET: str(self.path)}
        self.started.append(subprocess.Popen([sys.executable, "-c", MAIN], env=variables))
        return self.started[-1]


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[Containers]:
    containers = Containers(tmp_path / "socket")
    yield containers
    for process in containers.started:
        process.kill()
        process.wait()


@pytest.fixture
def job(tmp_path: Path) -> PackageJob:
    folder = tmp_path / "packages" / "key" / "tree"
    return PackageJob(kind=PackageKind.PIP, folder=folder, platform=PLATFORM, python=HERE, requirements="six")


def _log() -> BuildLog:
    return BuildLog(io.StringIO())


def test_packages_are_installed_by_the_container_with_credentials_that_it_never_has(
    containers: Containers, job: PackageJob, tmp_path: Path
) -> None:
    ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = WebServer(context)
    index = Index(server)
    index.wheel("six")
    index.authorization = "Basic Y2k6cGFzcw=="
    conf = tmp_path / "pip.conf"
    conf.write_text(f"[global]\nindex-url = {index.url.replace('://', '://ci:pass@')}\n")
    out = io.StringIO()
    try:
        with PackageContainer(containers.path) as container:
            process = containers.start()
            install = GuardedInstaller(PipSettings(tmp_path / "ca.pem", conf), install_users=container)
            installed = install(job, BuildLog(out))
        assert process.wait(30) == 0
    finally:
        server.stop()
    assert [package.purl for package in installed.packages] == ["pkg:pypi/six@1.0"]
    assert (job.folder / f"lib/python{HERE}/site-packages/six/__init__.py").is_file()
    contents = [file.read_bytes() for file in job.folder.parent.rglob("*") if file.is_file()]
    assert not [content for content in contents if b"ci:pass" in content or b"Y2k6cGFzcw" in content]
    assert "+ six==1.0" in out.getvalue()


def test_denied_host_of_a_user_is_an_error(
    containers: Containers, job: PackageJob, web: WebServer, installer: Installer
) -> None:
    policy = EgressPolicy.from_environment({BuildVariable.FETCH_DENIED_NETWORKS: "127.0.0.2/32"})
    pip = PipSettings(pip_conf=installer.settings.pip_conf, policy=policy)
    requirements = f"x @ http://127.0.0.2:{web.address.partition(':')[2]}/x-1.0-py3-none-any.whl"
    with PackageContainer(containers.path) as container:
        containers.start()
        with pytest.raises(SourceDeniedError, match=r"pipRequirements: 127\.0\.0\.2 leads to"):
            GuardedInstaller(pip, install_users=container)(
                job.model_copy(update={"requirements": requirements}), _log()
            )


def test_container_ends_with_a_build_that_needs_no_packages(containers: Containers) -> None:
    with PackageContainer(containers.path):
        process = containers.start()
    assert process.wait(30) == 0
    late = containers.start()  # the build has ended before the container starts
    assert late.wait(30) == 0


def test_container_stops_at_once(containers: Containers) -> None:
    listener = socket.socket(socket.AF_UNIX)
    with listener:
        listener.bind(str(containers.path))
        listener.listen()
        process = containers.start()
        connection, _ = listener.accept()
        with connection:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 143


def test_killed_container_is_an_error(containers: Containers, job: PackageJob, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as index, PackageContainer(containers.path) as container:
        conf = tmp_path / "pip.conf"
        conf.write_text(f"[global]\nindex-url = http://127.0.0.1:{index.getsockname()[1]}/simple\n")
        process = containers.start()

        def kill_at_first_request() -> None:
            connection, _ = index.accept()
            with connection:
                process.kill()

        threading.Thread(target=kill_at_first_request, daemon=True).start()
        with pytest.raises(InstallerKilledError, match=r"ended without a result"):
            GuardedInstaller(PipSettings(pip_conf=conf), install_users=container)(job, _log())


def test_container_that_does_not_start_is_an_error(
    containers: Containers, job: PackageJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_container, "_START_SECONDS", 0.01)
    with (
        PackageContainer(containers.path) as container,
        pytest.raises(InstallerKilledError, match="has not started within"),
    ):
        container(job, _log())
