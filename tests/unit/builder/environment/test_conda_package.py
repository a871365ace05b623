"""Hostile conda packages: none reads a file of the builder, writes outside, or kills the build."""

from __future__ import annotations

import io
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from rattler.package_streaming import extract
from tests.support.conda import CondaPackage, write_channel, write_package
from tests.support.web_server import Request, Response, WebServer

from modelyard.builder.environment.conda import CondaTarget, install_conda
from modelyard.builder.environment.conda_file import CondaFile
from modelyard.builder.environment.conda_package import check_package, check_together
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.packages import find_packages
from modelyard.builder.environment.reproducible_tree import compile_bytecode
from modelyard.builder.environment.target import Target
from modelyard.builder.log import BuildLog
from modelyard.contract.errors import CondaFailedError, CondaPackageUnsafeError
from modelyard.contract.image_layout import ENVIRONMENT

PYTHON = CondaPackage("python", "3.11.9", files={"bin/python3.11": b"ELF"}, executable=["bin/python3.11"])
SECRET = {"auths": {"registry.example.com": {"password": "push-password-of-the-platform"}}}
HASH = "0" * 64
PLACEHOLDER = {"prefix_placeholder": "/placeholder/xyz", "file_mode": "text"}

Install = Callable[..., Path]
Check = Callable[..., None]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the builder: a login as JSON, which is also an expression of Python."""
    file = tmp_path / "etc" / ".dockerconfigjson"
    file.parent.mkdir()
    file.write_text(json.dumps(SECRET))
    return file


@pytest.fixture
def install(web: WebServer, tmp_path: Path) -> Install:
    """Installs packages from a channel with these packages and a Python."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()

    def install_packages(*packages: CondaPackage) -> Path:
        channel = tmp_path / "channel"
        write_channel(channel, [PYTHON, *packages])

        def answer(request: Request) -> Response:
            file = channel / request.path[1:]
            return Response(body=file.read_bytes()) if file.is_file() else Response(404)

        web.respond = answer
        names = tuple(package.name for package in packages)
        log, tree = BuildLog(io.StringIO()), workspace / "tree"
        file = CondaFile(("python=3.11", *names), (web.url,))
        python = install_conda(file, CondaTarget("linux/amd64"), tree, CondaSettings(retries=0), log)
        compile_bytecode(tree, ENVIRONMENT, Target(python, "linux/amd64"), log)
        return tree

    return install_packages


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Extracts packages and checks them, without an installation."""

    def check_packages(*packages: CondaPackage) -> None:
        checked = []
        for package in packages:
            file, folder = tmp_path / f"{package.name}.tar.bz2", tmp_path / package.name
            write_package(file, package)
            extract(file, folder)
            checked.append(check_package(package.name, folder, "lib/python3.11/site-packages"))
        check_together(checked)

    return check_packages


def _hardlink(path: str, **more: object) -> dict[str, object]:
    return {"_path": path, "path_type": "hardlink", "sha256": HASH, "size_in_bytes": 1, **more}


def _create_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def _entry_point(command: str) -> CondaPackage:
    return CondaPackage("evil", "1.0", entry_points=[f"{command} = evil:main"], subdir="noarch")


@pytest.mark.parametrize(
    "path",
    ["share/login.pyc", "lib/python3.11/site-packages/evil/login.py"],
    ids=["byte-code", "module"],
)
def test_package_with_a_link_to_a_file_of_the_builder_is_not_installed(
    install: Install, secret: Path, tmp_path: Path, path: str
) -> None:
    with pytest.raises(CondaPackageUnsafeError, match=r"evil-1\.0-0\.tar\.bz2 has a link"):
        install(CondaPackage("evil", "1.0", links={path: str(secret)}))
    assert not list((tmp_path / "workspace").glob("tree/*/*"))


@pytest.mark.parametrize("path", ["bin/tool", "info/paths.json", "share/plain", "a/b/c"])
@pytest.mark.parametrize("absolute", [True, False], ids=["absolute", "relative"])
def test_link_that_leads_outside_is_refused(check: Check, secret: Path, path: str, absolute: bool) -> None:
    target = str(secret) if absolute else "../" * 12 + str(secret)[1:]
    with pytest.raises(CondaPackageUnsafeError, match="evil has a link"):
        check(CondaPackage("evil", "1.0", links={path: target}))


def test_link_with_a_prefix_that_is_declared_as_a_file_is_refused(install: Install, secret: Path) -> None:
    package = CondaPackage(
        "evil", "1.0", links={"share/d": str(secret)}, declared=[_hardlink("share/d", **PLACEHOLDER)]
    )
    with pytest.raises(CondaPackageUnsafeError, match="has a link 'share/d'"):
        install(package)


def test_prefix_in_a_link_within_the_package_is_refused(check: Check) -> None:
    package = CondaPackage(
        "evil",
        "1.0",
        files={"share/file": b"text"},
        links={"share/d": "file"},
        declared=[_hardlink("share/d", **PLACEHOLDER)],
    )
    with pytest.raises(CondaPackageUnsafeError, match="declares a prefix for 'share/d'"):
        check(package)


@pytest.mark.parametrize(
    ("path", "files", "links"),
    [
        ("../../outside/file", {"share/a": b"owned"}, {}),
        ("{outside}/file", {"share/a": b"owned"}, {}),
        ("x/../../outside/file", {"a/b/c/keep": b"k", "a/outside/file": b"owned"}, {"x": "a/b/c"}),
    ],
    ids=["parent", "absolute", "through-a-link"],
)
def test_package_that_names_a_path_outside_writes_nothing(
    install: Install, tmp_path: Path, path: str, files: dict[str, bytes], links: dict[str, str]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    declared = [_hardlink(path.format(outside=outside))]
    with pytest.raises(CondaPackageUnsafeError, match=r"names the path '[^']+', outside of the package"):
        install(CondaPackage("evil", "1.0", files=files, links=links, declared=declared))
    assert not list(outside.iterdir())
    assert [path.name for path in (tmp_path / "workspace").iterdir()] in ([], ["tree"])


@pytest.mark.parametrize("create", [os.mkfifo, _create_socket], ids=["pipe", "socket"])
def test_entry_that_is_no_file_is_refused(tmp_path: Path, create: Callable[[Path], None]) -> None:
    create(tmp_path / "entry")
    with pytest.raises(CondaPackageUnsafeError, match="evil has 'entry', which is no file"):
        check_package("evil", tmp_path, "lib/python3.11/site-packages")


@pytest.mark.parametrize("command", ["../../outside", "/tmp/outside", ".."])
def test_entry_point_that_is_no_file_name_is_refused(check: Check, command: str) -> None:
    with pytest.raises(CondaPackageUnsafeError, match="has the entry point"):
        check(_entry_point(command))


def test_links_of_two_packages_that_lead_outside_together_are_refused(check: Check) -> None:
    folder_link = CondaPackage("one", "1.0", links={"a/b": "."})
    escape = CondaPackage("two", "1.0", files={"a/b/keep": b"k"}, links={"a/b/up": "../../outside"})
    with pytest.raises(CondaPackageUnsafeError, match=r"two has 'a/b/../../outside'"):
        check(folder_link, escape)


def test_links_within_the_environment_are_installed(install: Install) -> None:
    library = CondaPackage(
        "library",
        "1.0",
        files={"lib/real.so": b"ELF", "share/doc/text": b"text"},
        links={
            "lib/linked.so": "../lib/real.so",
            "lib64": "lib",
            "share/of-another-package": "../bin/python3.11",
            "share/circle": "circle",
        },
    )
    # Its file is not below lib64: rattler links packages in parallel, in any order.
    tree = install(library, CondaPackage("user", "1.0", files={"lib/more.so": b"ELF"}))
    assert (tree / "lib/linked.so").read_bytes() == b"ELF"
    assert (tree / "share/of-another-package").read_bytes() == b"ELF"
    assert (tree / "lib64").readlink() == Path("lib")
    assert (tree / "lib64/more.so").read_bytes() == b"ELF"


def test_damaged_metadata_is_refused(check: Check) -> None:
    with pytest.raises(CondaPackageUnsafeError, match="evil has damaged metadata"):
        check(CondaPackage("evil", "1.0", files={"info/paths.json": b"[]"}))


@pytest.mark.parametrize(
    "package",
    [
        CondaPackage("evil", "1.0", files={"conda-meta/python-9.json": b"{"}),
        CondaPackage("evil", "1.0", files={"share/x": b"{"}, links={"conda-meta/x.json": "../share/x"}),
    ],
    ids=["file", "link"],
)
def test_package_with_records_of_installed_packages_is_refused(check: Check, package: CondaPackage) -> None:
    with pytest.raises(CondaPackageUnsafeError, match="the place of rattler's own records"):
        check(package)


def test_file_among_the_records_of_packages_is_no_package(install: Install) -> None:
    files = {"x/conda-meta/more.json": b"[]", "x/conda-meta/bad.json": b"{", "x.dist-info/METADATA": b"\n"}
    tree = install(CondaPackage("odd", "1.0", files=files, links={"x/conda-meta/link.json": "more.json"}))
    assert [package.name for package in find_packages(tree)] == ["odd", "python"]


def test_panic_of_the_installer_is_an_error(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        pass

    def panic(*_: object, **__: object) -> None:
        raise PanicException("index out of bounds")

    monkeypatch.setattr("modelyard.builder.environment.conda.install", panic)
    with pytest.raises(CondaFailedError, match="rattler stopped: index out of bounds"):
        install()
