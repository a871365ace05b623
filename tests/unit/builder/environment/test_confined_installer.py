"""Packages are installed in a process that reaches no secret of the build."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.conda import CondaPackage, write_channel
from tests.support.web_server import Request, Response, WebServer
from tests.unit.builder.environment.conftest import HERE, PLATFORM, Installer
from tests.unit.builder.environment.index import Index

from modelyard.builder.confinement.landlock import landlock_version
from modelyard.builder.environment import confined_installer
from modelyard.builder.environment.conda_file import CondaFile
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.confined_installer import install_confined
from modelyard.builder.environment.index_access import read_index_access
from modelyard.builder.environment.package_job import PackageJob, PackageKind
from modelyard.builder.log import BuildLog
from modelyard.contract.build_pod import BuildVariable
from modelyard.contract.errors import InstallerKilledError, PackageNotFoundError

needs_landlock = pytest.mark.skipif(landlock_version() == 0, reason="the kernel has no Landlock")
READ = """
import sys
from pathlib import Path
from modelyard.builder.environment.conda_file import CondaFile
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.index_access import read_index_access
from modelyard.builder.confinement.landlock import confine
from modelyard.builder.environment.package_process import _SYSTEM, _programs
work, *files = sys.argv[1:]
assert confine(readable=[*_SYSTEM, *_programs()], writable=[work])
(Path(work) / "written").write_text("x")
for file in files:
    try:
        print("read", Path(file).read_bytes()[:4])
    except OSError as error:
        print(type(error).__name__)
try:
    (Path(work).parent / "outside").write_text("x")
except OSError as error:
    print(type(error).__name__)
"""


@pytest.fixture
def job(tmp_path: Path) -> PackageJob:
    work = tmp_path / "work"
    work.mkdir()
    return PackageJob(kind=PackageKind.PIP, folder=work / "packages", platform=PLATFORM, python=HERE)


def _with_index(job: PackageJob, installer: Installer, requirements: str) -> PackageJob:
    indexes = read_index_access(installer.settings, CondaSettings()).public
    return job.model_copy(update={"requirements": requirements, "indexes": indexes})


@needs_landlock
def test_confined_process_reads_no_secret_and_no_environment_of_another_process(tmp_path: Path) -> None:
    work, secret = tmp_path / "work", tmp_path / "registry" / ".dockerconfigjson"
    work.mkdir()
    secret.parent.mkdir()
    secret.write_text("{}")
    files = [
        secret,
        f"/proc/{os.getpid()}/environ",
        "/proc/1/environ",
        f"/proc/{os.getpid()}/root/etc/passwd",
    ]
    link = work / "link"
    link.symlink_to(secret)
    command = [sys.executable, "-c", READ, str(work), *map(str, files), str(link)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=work)
    assert done.stdout.split() == ["PermissionError"] * 6, done.stderr
    assert not (tmp_path / "outside").exists()


def test_packages_are_installed_and_listed(index: Index, installer: Installer, job: PackageJob) -> None:
    index.wheel("six", "1.17.0")
    log = BuildLog(installer.out)
    installed = install_confined(_with_index(job, installer, "six==1.17.0"), log)
    assert [package.purl for package in installed.packages] == ["pkg:pypi/six@1.17.0"]
    byte_code = job.folder.rglob("six/__pycache__/__init__.*.pyc")
    assert len(list(byte_code)) == 1
    assert (job.folder / f"lib/python{HERE}/site-packages/six/__init__.py").is_file()
    assert "+ six==1.17.0" in installer.out.getvalue()


def test_failure_has_its_error(index: Index, installer: Installer, job: PackageJob) -> None:
    index.wheel("six", "1.17.0")
    job = _with_index(job, installer, "six==2.0")
    with pytest.raises(PackageNotFoundError, match="six"):
        install_confined(job, BuildLog(io.StringIO()))


@pytest.mark.parametrize(
    ("program", "error", "message"),
    [
        ("import os; os.abort()", InstallerKilledError, "was ended by SIGABRT: a package is damaged"),
        ("import os; os.kill(os.getpid(), 9)", InstallerKilledError, "was ended by SIGKILL"),
        ("raise ValueError('a defect')", RuntimeError, "ended with 1"),
    ],
)
def test_process_without_a_result_is_an_error(
    job: PackageJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    error: type[Exception],
    message: str,
) -> None:
    (tmp_path / "program.py").write_text(program)
    monkeypatch.setattr(confined_installer, "_MODULE", "program")
    out = io.StringIO()
    with pytest.raises(error, match=message):
        install_confined(job, BuildLog(out), {"PYTHONPATH": str(tmp_path)})
    assert ("a defect" in out.getvalue()) == (error is RuntimeError)


def test_variables_of_the_build_are_not_inherited(
    job: PackageJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "program.py").write_text("import os; print(sorted(os.environ))")
    monkeypatch.setattr(confined_installer, "_MODULE", "program")
    out = io.StringIO()
    inherited = {"PYTHONPATH": str(tmp_path), "AWS_SECRET_ACCESS_KEY": "x", BuildVariable.SIGNING_KEY: "/x"}
    with pytest.raises(InstallerKilledError):
        install_confined(job, BuildLog(out), inherited)
    assert "'HOME'" in out.getvalue()
    assert "AWS" not in out.getvalue()
    assert BuildVariable.SIGNING_KEY not in out.getvalue()


def test_conda_environment_is_installed(web: WebServer, job: PackageJob, tmp_path: Path) -> None:
    channel = tmp_path / "channel"
    python = CondaPackage("python", "3.11.9", files={"bin/python3.11": b"ELF"}, executable=["bin/python3.11"])
    write_channel(channel, [python])

    def answer(request: Request) -> Response:
        file = channel / request.path[1:]
        return Response(body=file.read_bytes()) if file.is_file() else Response(404)

    web.respond = answer
    values = {"kind": PackageKind.CONDA, "python": None, "conda": CondaFile(("python",), (web.url,))}
    out = io.StringIO()
    installed = install_confined(job.model_copy(update=values), BuildLog(out))
    assert installed.python == "3.11.9"
    assert [package.purl for package in installed.packages] == [
        "pkg:conda/python@3.11.9?build=0&subdir=linux-64"
    ]
    assert ("no Landlock" in out.getvalue()) == (landlock_version() == 0)


CONNECT = """
import socket, sys
from modelyard.builder.confinement.landlock import confine
allowed, other = map(int, sys.argv[1:])
assert confine(readable=["/"], writable=[], port=allowed)
for port in (allowed, other):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        print("connected")
    except OSError as error:
        print(type(error).__name__)
try:
    socket.create_server(("127.0.0.1", 0))
except OSError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(landlock_version() < 4, reason="the kernel's Landlock has no rules for TCP")
def test_confined_process_connects_to_the_guard_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as guard, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [str(server.getsockname()[1]) for server in (guard, other)]
        command = [sys.executable, "-c", CONNECT, *ports]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["connected", "PermissionError", "PermissionError"], done.stderr
