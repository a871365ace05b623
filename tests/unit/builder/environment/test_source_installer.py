"""Source distributions are built where neither a secret nor the network is within reach."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.base_layer import Content, layer_of, program_files
from tests.support.git_server import GitServer
from tests.support.web_server import WebServer
from tests.unit.builder.environment.conftest import HERE, PLATFORM, Installer
from tests.unit.builder.environment.index import Index

from modelyard.builder.base_system.system import LAYER_HOST, BaseFiles, BaseLayer
from modelyard.builder.confinement.landlock import landlock_version
from modelyard.builder.confinement.resource_limits import ResourceLimits
from modelyard.builder.environment.confined_installer import install_confined
from modelyard.builder.environment.guarded_installer import GuardedInstaller
from modelyard.builder.environment.package_job import InstalledPackages, PackageJob, PackageKind
from modelyard.builder.environment.registry_files import WHEEL_HOST, OpenFile
from modelyard.builder.log import BuildLog
from modelyard.contract.errors import RequirementsInvalidError, SourceBuildFailedError, WheelMissingError

pytestmark = pytest.mark.skipif(landlock_version() == 0, reason="the kernel has no Landlock")

PROJECT = """
[project]
name = "{name}"
version = "1.0"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import os, sys, zipfile
def build_wheel(folder, settings=None, metadata=None):
    content = run()
    file = "{name}-1.0-py3-none-any.whl"
    info = "{name}-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(folder, file), "w") as archive:
        for path, text in {{
            "{name}.py": "result = " + repr(content),
            info + "/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n",
            info + "/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
            info + "/RECORD": "",
        }}.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return file
{code}
"""
HARMLESS = "def run(): return 'built'"
HOSTILE = """
import glob, json, os, signal, socket
def run():
    results = {{}}
    def attempt(name, action):
        try:
            action()
            results[name] = "done"
        except OSError as error:
            results[name] = type(error).__name__
    for name, path in {paths}.items():
        attempt(name, lambda: open(path).read())
    for path in {written}:
        attempt("write " + path, lambda: open(path, "w"))
    attempt("processes", lambda: os.listdir("/proc"))
    attempt("kill", lambda: os.kill({parent}, signal.SIGTERM))
    attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    attempt("metadata", lambda: socket.create_connection(("169.254.169.254", 80), 2))
    attempt("server", lambda: socket.create_connection(("127.0.0.1", {port}), 2))
    attempt("unix", lambda: socket.socket(socket.AF_UNIX).connect({unix!r}))
    results["variables"] = sorted(os.environ.items())
    return json.dumps(results)
"""


def source(name: str, code: str = HARMLESS) -> dict[str, str]:
    return {"pyproject.toml": PROJECT.format(name=name), "backend.py": BACKEND.format(name=name, code=code)}


@pytest.fixture
def job(tmp_path: Path) -> PackageJob:
    folder = tmp_path / "packages" / "key" / "tree"
    return PackageJob(kind=PackageKind.PIP, folder=folder, platform=PLATFORM, python=HERE)


@pytest.fixture
def install(installer: Installer, job: PackageJob) -> Callable[[str], InstalledPackages]:
    def install(requirements: str) -> InstalledPackages:
        guarded = GuardedInstaller(installer.settings)
        return guarded(job.model_copy(update={"requirements": requirements}), installer.log)

    return install


def _module(job: PackageJob, name: str) -> str:
    return (job.folder / f"lib/python{HERE}/site-packages/{name}.py").read_text()


def test_package_without_a_wheel_is_built(
    index: Index, install: Callable[[str], InstalledPackages], job: PackageJob, installer: Installer
) -> None:
    index.wheel("six", "1.17.0")
    url = index.sdist("legacy", files=source("legacy"))
    installed = install("legacy\nsix\n")
    assert _module(job, "legacy") == "result = 'built'"
    packages = {package.name: package for package in installed.packages}
    assert packages.keys() == {"legacy", "six"}
    assert packages["six"].source is None
    origin, wheel = packages["legacy"].source, installed.wheels[0]
    assert origin is not None
    assert (origin.url, origin.digest) == (url, f"sha256:{index.digest(url)}")
    assert origin.wheel == wheel.digest == f"sha256:{hashlib.sha256(wheel.path.read_bytes()).hexdigest()}"
    assert f"made from {url}" in installer.out.getvalue()


def test_cached_wheel_is_used(index: Index, installer: Installer, job: PackageJob, tmp_path: Path) -> None:
    index.sdist("legacy", files=source("legacy"))
    keys: list[str] = []
    built: list[bytes] = []

    @contextmanager
    def wheels(key: str) -> Iterator[OpenFile | None]:
        keys.append(key)
        name = "legacy-1.0-py3-none-any.whl"
        digest = f"sha256:{hashlib.sha256(built[0]).hexdigest()}" if built else ""
        yield OpenFile(name, digest, len(built[0]), iter(built)) if built else None

    guarded = GuardedInstaller(installer.settings)
    job = job.model_copy(update={"requirements": "legacy"})
    (wheel,) = guarded(job, installer.log, {WHEEL_HOST: wheels}).wheels
    built.append(wheel.path.read_bytes())
    job = job.model_copy(update={"folder": tmp_path / "packages" / "other" / "tree"})
    installed = guarded(job, installer.log, {WHEEL_HOST: wheels})
    assert keys == [wheel.key] * 2
    assert not installed.wheels
    assert installed.packages[0].source is not None
    assert installed.packages[0].source.wheel == wheel.digest
    assert _module(job, "legacy") == "result = 'built'"


def test_wheel_is_preferred_unless_a_line_excludes_it(
    index: Index, install: Callable[[str], InstalledPackages], job: PackageJob
) -> None:
    index.wheel("legacy", files={"legacy.py": "result = 'wheel'"})
    index.sdist("legacy", files=source("legacy"))
    assert not install("legacy").wheels
    assert _module(job, "legacy") == "result = 'wheel'"
    install("--no-binary legacy\nlegacy")
    assert _module(job, "legacy") == "result = 'built'"


def test_source_of_git_is_built_at_its_commit(
    git_server: GitServer, install: Callable[[str], InstalledPackages], job: PackageJob
) -> None:
    commit = git_server.commit(source("legacy"), "first")
    git_server.push()
    installed = install(f"legacy @ git+{git_server.url}@main")
    (package,) = installed.packages
    assert package.source is not None
    assert package.source.url == f"git+{git_server.url}@{commit}"
    assert _module(job, "legacy") == "result = 'built'"


def test_hash_of_a_source_distribution_is_checked(
    index: Index, install: Callable[[str], InstalledPackages]
) -> None:
    url = index.sdist("legacy", files=source("legacy"))
    assert install(f"legacy --hash=sha256:{index.digest(url)}").wheels
    with pytest.raises(RequirementsInvalidError, match="no line has it"):
        install(f"legacy --hash=sha256:{'0' * 64}\n--no-binary legacy")


def test_hostile_source_distribution_reaches_nothing(
    index: Index,
    install: Callable[[str], InstalledPackages],
    job: PackageJob,
    tmp_path: Path,
    web: WebServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    secret, listener = tmp_path / "secret", tmp_path / "handoff"
    secret.write_text("canary")
    outside = tmp_path / "outside"
    cache = job.folder.parent / "sources" / "poisoned"
    paths = {
        "secret": str(secret),
        "environ": f"/proc/{os.getpid()}/environ",
        "init": "/proc/1/environ",
        "root": f"/proc/{os.getpid()}/root{secret}",
        "package settings": str(tmp_path / "pip.conf"),
    }
    with socket.socket(socket.AF_UNIX) as server, socket.create_server(("127.0.0.1", 0)) as other:
        server.bind(str(listener))
        code = HOSTILE.format(
            paths=paths, written=[str(outside), str(cache), str(job.folder)], parent=os.getpid(),
            port=other.getsockname()[1], unix=str(listener),
        )  # fmt: skip
        index.sdist("hostile", files=source("hostile", code))
        installed = install("hostile")
    text = _module(job, "hostile").removeprefix("result = ").strip("'").replace("\\\\", "\\")
    results = json.loads(text)
    variables = dict(results.pop("variables"))
    assert set(results.values()) == {"PermissionError"}, results
    assert "AWS_SECRET_ACCESS_KEY" not in variables
    assert "canary" not in text
    assert not outside.exists()
    assert not cache.exists()
    assert [package.name for package in installed.packages] == ["hostile"]


SLEEP = "__import__('time').sleep(99)"
LIMITS = [
    (f"while True:\n        os.fork() or {SLEEP}", {"processes": 40}, "more than 40 processes"),
    (SLEEP, {"seconds": 1.0}, "more than 1 s"),
    (f"x = [bytearray(2**20) for _ in range(999)]; {SLEEP}", {"memory_bytes": 2**28}, "256 MiB of memory"),
    (
        f"[open(os.environ['TMPDIR'] + f'/{{n}}', 'wb').write(bytes(2**20)) for n in range(99)]; {SLEEP}",
        {"disk_bytes": 2**25},
        "more than 32 MiB of disk",
    ),
]


@pytest.mark.parametrize(("code", "limits", "message"), LIMITS)
def test_source_distribution_has_limits(
    job: PackageJob, tmp_path: Path, code: str, limits: dict[str, float], message: str
) -> None:
    step = _step(job, tmp_path, f"def run():\n    {code}", ResourceLimits(**limits))  # type: ignore[arg-type]
    with pytest.raises(SourceBuildFailedError, match=message):
        install_confined(step, BuildLog(io.StringIO()))


def test_limit_of_a_file_is_the_kernels(job: PackageJob, tmp_path: Path) -> None:
    code = "def run():\n    open(os.environ['TMPDIR'] + '/big', 'wb').truncate(100 * 2**30)"
    with pytest.raises(SourceBuildFailedError, match="File too large"):
        install_confined(_step(job, tmp_path, code), BuildLog(io.StringIO()))


def test_output_is_limited(job: PackageJob, tmp_path: Path) -> None:
    out = io.StringIO()
    code = "def run():\n    print(('x' * 99 + chr(10)) * 20000)\n    sys.exit(1)"
    step = _step(job, tmp_path, code)
    with pytest.raises(SourceBuildFailedError, match="cannot be built") as caught:
        install_confined(step, BuildLog(out))
    assert len(out.getvalue()) < 150_000
    assert len(str(caught.value)) < 2000


def test_daemon_of_a_source_distribution_is_ended(job: PackageJob, tmp_path: Path) -> None:
    pid = tmp_path / "packages" / "key" / "wheel" / "daemon"
    daemon = (
        "def run():\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n"
        "            os.closerange(0, 99)\n"
        f"            open({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        f"            {SLEEP}\n        os._exit(0)\n"
        f"    while not (os.path.exists({str(pid)!r}) and os.path.getsize({str(pid)!r})):\n        pass\n"
    )
    install_confined(_step(job, tmp_path, daemon), BuildLog(io.StringIO()))
    assert not Path(f"/proc/{pid.read_text()}").exists()


COMPILER = b'#!/bin/sh\nprintf "%s\\n" "$@"\n'
COMPILES = """
import shutil, subprocess
def run(): return subprocess.run(["gcc", "-c"], check=True, capture_output=True, text=True).stdout
"""


class Base:
    """A base image of one layer. Its Python is a script that starts the Python of the tests."""

    def __init__(self, python: str = HERE) -> None:
        content: dict[str, Content] = {
            **program_files("cat"),
            "usr/bin/gcc": COMPILER,
            f"usr/bin/python{python}": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'.encode(),
        }
        self._layer = layer_of(content)
        self._digest = f"sha256:{hashlib.sha256(self._layer).hexdigest()}"
        self.reads = 0
        layer = BaseLayer(media_type="application/vnd.oci.image.layer.v1.tar", digest=self._digest)
        self.files = BaseFiles(layers=(layer,), path=("/usr/bin",))

    @contextmanager
    def open(self, key: str) -> Iterator[OpenFile | None]:
        assert key == self._digest
        self.reads += 1
        yield OpenFile(key, key, len(self._layer), iter([self._layer]))


def _install_on(base: Base, installer: Installer, job: PackageJob, requirements: str) -> InstalledPackages:
    job = job.model_copy(update={"requirements": requirements, "base": base.files})
    return GuardedInstaller(installer.settings)(job, installer.log, {LAYER_HOST: base.open})


def test_source_distribution_is_built_with_the_compiler_of_the_base_image(
    index: Index, installer: Installer, job: PackageJob
) -> None:
    links = set(Path("/tmp").glob("my-*"))
    index.sdist("one", files=source("one", COMPILES))
    code = "import shutil\ndef run(): return str(shutil.which('cc'))"  # a compiler of the builder only
    index.sdist("two", files=source("two", code))
    base = Base()
    assert len(_install_on(base, installer, job, "one\ntwo").wheels) == 2
    root = job.folder.parent / "base/system/root"
    assert _module(job, "one") == f"result = '--sysroot={root}\\n-c\\n'"
    assert _module(job, "two") == "result = 'None'"
    assert base.reads == 1
    assert not (job.folder.parent / "base").exists()
    assert set(Path("/tmp").glob("my-*")) == links


def test_dependencies_are_read_in_the_base_image_if_need_be(
    index: Index, installer: Installer, job: PackageJob
) -> None:
    code = """
import os, shutil
def prepare_metadata_for_build_wheel(folder, settings=None):
    assert "--sysroot" in open(shutil.which("gcc")).read()
    info = "legacy-1.0.dist-info"
    os.mkdir(os.path.join(folder, info))
    with open(os.path.join(folder, info, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: legacy\\nVersion: 1.0\\n")
    return info
def run(): return "built"
"""
    files = source("legacy", code)
    files["pyproject.toml"] = files["pyproject.toml"].replace('version = "1.0"', 'dynamic = ["version"]')
    index.sdist("legacy", files=files)
    assert _install_on(Base(), installer, job, "legacy").wheels


def test_compiled_modules_need_the_python_of_the_image(
    index: Index, installer: Installer, job: PackageJob
) -> None:
    files = source("legacy")
    index.sdist("pure", files=source("pure"))
    _install_on(Base("3.99"), installer, job, "pure")
    assert f"has no python{HERE}" in installer.out.getvalue()
    files["backend.py"] = files["backend.py"].replace("py3-none-any", f"py3-none-linux_{os.uname().machine}")
    index.sdist("legacy", files=files)
    with pytest.raises(SourceBuildFailedError, match=rf"compiled modules.*has no python{HERE}"):
        _install_on(Base("3.99"), installer, job, "legacy")


def _step(job: PackageJob, tmp_path: Path, code: str, limits: ResourceLimits | None = None) -> PackageJob:
    """Return the job of a wheel, whose backend runs code."""
    folder = tmp_path / "source"
    folder.mkdir()
    for path, text in source("hostile", code).items():
        (folder / path).write_text(text)
    values = {
        "kind": PackageKind.WHEEL,
        "folder": tmp_path / "packages" / "key" / "wheel" / "out",
        "source": folder,
        "readable": (folder,),
        "limits": limits or ResourceLimits(),
        "lines": "",
        "requirements": "hostile",
    }
    return job.model_copy(update=values)


def test_source_distribution_for_another_platform_must_make_a_pure_wheel(
    index: Index, installer: Installer, job: PackageJob
) -> None:
    foreign = next(name for name in ("linux/amd64", "linux/arm64") if name != PLATFORM)
    job = job.model_copy(update={"platform": foreign})
    index.sdist("pure", files=source("pure"))
    installed = GuardedInstaller(installer.settings)(
        job.model_copy(update={"requirements": "pure"}), installer.log
    )
    assert _module(job, "pure") == "result = 'built'"
    assert [package.name for package in installed.packages] == ["pure"]
    index.wheel("native", tag=f"cp3-abi3-manylinux_2_28_{os.uname().machine}")
    files = source("native")
    files["backend.py"] = files["backend.py"].replace("py3-none-any", f"py3-none-linux_{os.uname().machine}")
    index.sdist("native", files=files)
    index.sdist("broken", files=source("broken", "def run(): sys.exit(1)"))
    for name, cause in (("native", "has compiled modules"), ("broken", "cannot be built")):
        guarded = GuardedInstaller(installer.settings)
        message = rf"^pipRequirements: {name} 1\.0 has no wheel for {foreign}, .* {PLATFORM} cannot .*{cause}"
        with pytest.raises(WheelMissingError, match=message):
            guarded(job.model_copy(update={"requirements": name}), installer.log)
