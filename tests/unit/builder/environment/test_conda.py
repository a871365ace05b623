"""Conda environments that rattler installs from a channel on an HTTP server."""

from __future__ import annotations

import base64
import hashlib
import io
import ipaddress
import json
import os
import re
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import trustme
from tests.support.conda import PREFIX, CondaPackage, write_channel
from tests.support.web_server import (
    Request,
    Response,
    WebServer,
)

from modelyard.builder.environment.conda import (
    CondaTarget,
    install_conda,
)
from modelyard.builder.environment.conda_file import CondaFile
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.guarded_installer import GuardedInstaller
from modelyard.builder.environment.package_job import PackageJob, PackageKind, do_job
from modelyard.builder.environment.packages import find_packages
from modelyard.builder.environment.pip_settings import PipSettings
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.contract.errors import (
    BaseImageUnfitError,
    BuildFailedError,
    CondaFailedError,
    CondaFileInvalidError,
    PackageIndexUnavailableError,
    PackageIndexUntrustedError,
    PythonVersionConflictError,
    SourceDeniedError,
)

AMD64 = CondaTarget("linux/amd64")
ENVIRONMENT = "/opt/modelyard/environment"
NATIVE = CondaPackage(
    "native",
    "1.5",
    depends=["__glibc >=2.17", "python >=3.11,<3.13.0a0"],
    files={
        "bin/native": f"#!{PREFIX}/bin/python\n".encode(),
        "bin/.native-post-link.sh": b"touch $PREFIX/linked\n",
        "lib/libnative.so": b"\x7fELF\0" + PREFIX.encode() + b"/share\0rest",
    },
    executable=["bin/native", "bin/.native-post-link.sh"],
    links={"lib/libnative.so.1": "libnative.so"},
)
PURE = CondaPackage(
    "pure",
    "2.0",
    depends=["python >=3.11", "native"],
    files={
        "site-packages/pure/__init__.py": b"def main(): ...\n",
        "site-packages/pure-2.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: pure\nVersion: 2.0\n",
    },
    entry_points=["pure-tool = pure:main"],
    subdir="noarch",
)
NEWER = CondaPackage("newer", "1.0", depends=["__glibc >=2.99"])
OLD = CondaPackage("old", "1.0", depends=["python 3.10.*"])


def _python(version: str) -> CondaPackage:
    """Return a package with the files of a Python. They are no programs, since none is run."""
    minor = version.rpartition(".")[0]
    return CondaPackage(
        "python",
        version,
        files={f"bin/python{minor}": b"ELF", f"lib/python{minor}/__pycache__/os.pyc": _byte_code()},
        executable=[f"bin/python{minor}"],
        links={"bin/python3": f"python{minor}"},
    )


def _byte_code() -> bytes:
    return b"\xa7\r\r\n" + bytes(4) + b"\1\2\3\4" + b"\5\6\7\0" + b"code"


PACKAGES = (_python("3.10.9"), _python("3.11.9"), _python("3.12.4"), NATIVE, PURE, NEWER, OLD)


@pytest.fixture(scope="module")
def channel_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("channel")
    write_channel(folder, PACKAGES)
    return folder


@pytest.fixture
def channel(web: WebServer, channel_folder: Path) -> str:
    """The URL of a channel that serves the files of the folder."""

    def answer(request: Request) -> Response:
        file = channel_folder / request.path.removeprefix("/channel/")
        return Response(body=file.read_bytes()) if file.is_file() else Response(404)

    web.respond = answer
    return f"{web.url}/channel"


class Conda:
    """Installs environments from one channel, each into a new folder."""

    def __init__(self, channel: str, folder: Path) -> None:
        self.channel = channel
        self.folder = folder
        self.out = io.StringIO()

    def __call__(
        self, *dependencies: str, target: CondaTarget = AMD64, settings: CondaSettings | None = None
    ) -> Path:
        tree = self.folder / f"tree-{len(list(self.folder.iterdir()))}"
        tree.mkdir()
        settings = settings or CondaSettings(channels=(self.channel,), retries=0)
        self.python = install_conda(CondaFile(dependencies), target, tree, settings, BuildLog(self.out))
        assert list(self.folder.glob("*-packages")) == []
        return tree


@pytest.fixture
def conda(channel: str, tmp_path: Path) -> Conda:
    return Conda(channel, tmp_path)


def _content(tree: Path) -> dict[str, tuple[str, bool]]:
    """Return path → link target or hash, and whether the file is executable, as a layer stores them."""
    found = {}
    for path in sorted(tree.rglob("*")):
        content = str(path.readlink()) if path.is_symlink() else ""
        if path.is_file() and not path.is_symlink():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(tree))] = (content, os.access(path, os.X_OK))
    return found


def test_environment_has_the_prefix_of_the_image(conda: Conda) -> None:
    tree = conda("python=3.11", "pure")
    assert conda.python == "3.11.9"
    assert (tree / "bin/native").read_text() == f"#!{ENVIRONMENT}/bin/python\n"
    assert (tree / "bin/pure-tool").read_text().startswith(f"#!{ENVIRONMENT}/bin/python3.11\n")
    assert os.access(tree / "bin/pure-tool", os.X_OK)
    library = (tree / "lib/libnative.so").read_bytes()
    assert library.startswith(b"\x7fELF\0" + ENVIRONMENT.encode() + b"/share\0")
    assert len(library) == len(NATIVE.files["lib/libnative.so"])
    assert (tree / "lib/libnative.so.1").readlink() == Path("libnative.so")
    assert (tree / "lib/python3.11/site-packages/pure/__init__.py").is_file()
    assert "pure 2.0 0\n" in conda.out.getvalue()


def test_package_with_dist_info_is_listed_once(conda: Conda) -> None:
    tree = conda("python=3.11", "pure")
    pip = tree / "lib/python3.11/site-packages/more-1.0.dist-info"
    pip.mkdir()
    (pip / "METADATA").write_text("Metadata-Version: 2.1\nName: more\nVersion: 1.0\n")
    assert [package.purl for package in find_packages(tree)] == [
        "pkg:pypi/more@1.0",
        "pkg:conda/native@1.5?build=0&subdir=linux-64",
        "pkg:conda/pure@2.0?build=0&subdir=noarch",
        "pkg:conda/python@3.11.9?build=0&subdir=linux-64",
    ]
    assert all(package.digest for package in find_packages(tree) if package.ecosystem == "conda")


def test_link_scripts_are_not_run(conda: Conda) -> None:
    tree = conda("python=3.11", "native")
    assert not (tree / "linked").exists()
    assert ".native-post-link.sh is not run" in conda.out.getvalue()


def test_newest_python_that_fits_is_installed(conda: Conda) -> None:
    conda("python", "pure")
    assert conda.python == "3.12.4"


def test_equal_packages_make_equal_files(conda: Conda) -> None:
    assert _content(conda("python=3.11", "pure")) == _content(conda("python=3.11", "pure"))


def test_no_file_contains_a_path_of_the_builder(conda: Conda) -> None:
    tree = conda("python=3.11", "pure")
    for file in tree.rglob("*"):
        if file.is_file():
            assert str(conda.folder).encode() not in file.read_bytes(), file
    record = json.loads((tree / "conda-meta/pure-2.0-0.json").read_bytes())
    assert record["url"] == f"{conda.channel}/noarch/pure-2.0-0.tar.bz2"


def test_byte_code_has_an_unchecked_header(conda: Conda) -> None:
    (file,) = conda("python=3.11").rglob("*.pyc")
    magic, flags, code = _byte_code()[:4], (1).to_bytes(4, "little"), b"code"
    assert file.read_bytes() == magic + flags + bytes(8) + code


def test_mirror_replaces_a_channel(conda: Conda) -> None:
    mirrored = CondaSettings(mirrors={"team": conda.channel}, channels=("https://nowhere.invalid/team",))
    file = CondaFile(("team::python=3.12", "team::native"), channels=("team",))
    tree = conda.folder / "tree"
    tree.mkdir()
    assert install_conda(file, AMD64, tree, mirrored, BuildLog(conda.out)) == "3.12.4"
    assert (tree / "bin/native").is_file()


def test_channel_of_a_dependency_is_searched(conda: Conda, tmp_path: Path, other_web: WebServer) -> None:
    other = tmp_path / "other"
    write_channel(other, [CondaPackage("extra", "1.0")])
    other_web.respond = lambda request: (
        Response(body=(other / request.path[1:]).read_bytes())
        if (other / request.path[1:]).is_file()
        else Response(404)
    )
    tree = conda("python=3.12", f"{other_web.url}::extra")
    assert (tree / "conda-meta/extra-1.0-0.json").is_file()


def test_credentials_of_a_channel_are_sent(conda: Conda, web: WebServer, tmp_path: Path) -> None:
    served = web.respond
    expected = "Basic " + base64.b64encode(b"me:s3cret").decode()
    web.respond = lambda request: (
        served(request) if request.headers.get("authorization") == expected else Response(401)
    )
    with pytest.raises(CondaFailedError, match=r"answers 401: .*build\.conda\.secretName"):
        conda("python=3.12")
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps({"127.0.0.1": {"BasicHTTP": {"username": "me", "password": "s3cret"}}}))
    settings = CondaSettings(channels=(conda.channel,), credentials=file)
    _install(conda, CondaFile(("python=3.12",)), settings)
    assert "s3cret" not in conda.out.getvalue()


@pytest.mark.parametrize(
    ("dependencies", "target", "error", "pattern"),
    [
        (["python=3.11", "nosuch"], AMD64, CondaFailedError, "No candidates were found for nosuch"),
        (
            ["python=3.11", "appnope=0.1"],
            AMD64,
            CondaFailedError,
            "for appnope .*: .* remove appnope, which Linux",
        ),
        (["python=3.11", "newer"], AMD64, CondaFailedError, "__glibc >=2.99"),
        (["python=3.13", "pure"], AMD64, CondaFailedError, r"python 3\.13"),
        (["python", "old"], AMD64, CondaFailedError, r"python 3\.10\.9, .* needs Python 3\.11 or newer"),
        (["python=3.12", "old"], AMD64, CondaFailedError, "old 1.0 would .* or remove its version"),
        (["pure"], AMD64, CondaFileInvalidError, "no python among the dependencies"),
        (["python", "numpy ><1"], AMD64, CondaFileInvalidError, "the dependency 'numpy"),
        (
            ["python=3.12", "pure"],
            CondaTarget("linux/amd64", "3.11"),
            PythonVersionConflictError,
            r"properties.pythonVersion is 3\.11, .* python 3\.12\.4",
        ),
        (
            ["python=3.11", "native"],
            CondaTarget("linux/arm64"),
            CondaFailedError,
            "for linux-aarch64 satisfy all dependencies",
        ),
        (["python"], CondaTarget("linux/s390x"), BaseImageUnfitError, "is for linux/s390x"),
    ],
)
def test_impossible_environment_has_its_error(
    conda: Conda, dependencies: list[str], target: CondaTarget, error: type[BuildFailedError], pattern: str
) -> None:
    with pytest.raises(error, match=re.compile(pattern, re.DOTALL)) as caught:
        conda(*dependencies, target=target)
    assert not caught.value.transient


@pytest.mark.parametrize(
    "python",
    ["python=3.5.2", "python 3.5.*", "python>=3.6,<3.11", "team::python=3.10", "python==3.10.9=0"],
)
def test_too_old_python_is_refused_without_a_request(conda: Conda, web: WebServer, python: str) -> None:
    expected = f"condaEnvFile requires {python}, .* Python 3.11 or newer: require python>=3.11, .* remove the"
    with pytest.raises(CondaFailedError, match=expected):
        conda(python, "nosuch=1")
    assert not web.requests


@pytest.mark.parametrize("python", ["python", "python<3.12", "python=3.5|=3.11", "python[version='3.11.*']"])
def test_python_that_may_be_new_enough_is_solved(conda: Conda, python: str) -> None:
    with pytest.raises(CondaFailedError, match="No candidates were found for nosuch"):
        conda(python, "nosuch")


def test_python_version_property_counts_if_the_file_names_no_python(conda: Conda) -> None:
    conda("pure", target=replace(AMD64, python="3.11"))
    assert conda.python == "3.11.9"


@pytest.mark.parametrize(
    ("answer", "error", "pattern"),
    [
        (Response(404), CondaFailedError, "answers 404: correct the name of the channel"),
        (Response(403), CondaFailedError, "answers 403: set its credentials"),
        (Response(503), PackageIndexUnavailableError, "answers 503"),
        (Response(429), PackageIndexUnavailableError, "answers 429"),
        (
            Response(200, b"{", drop_after=0, headers={"Content-Length": "5"}),
            PackageIndexUnavailableError,
            "answer",
        ),
    ],
    ids=["absent", "forbidden", "down", "busy", "drops"],
)
def test_failing_channel_has_its_error(
    conda: Conda, web: WebServer, answer: Response, error: type[BuildFailedError], pattern: str
) -> None:
    web.respond = lambda _: answer
    with pytest.raises(error, match=pattern) as caught:
        conda("python")
    assert caught.value.transient == (error is PackageIndexUnavailableError)


def test_unreachable_channel_is_named_by_its_address(conda: Conda) -> None:
    with pytest.raises(PackageIndexUnavailableError, match=r"127\.0\.0\.1:1"):
        conda("python", settings=CondaSettings(channels=("http://127.0.0.1:1",), retries=0))


def test_package_with_another_hash_is_refused(conda: Conda, web: WebServer) -> None:
    served = web.respond

    def damaged(request: Request) -> Response:
        answer = served(request)
        return Response(body=answer.body[:-10] + bytes(10)) if request.path.endswith(".bz2") else answer

    web.respond = damaged
    with pytest.raises(CondaFailedError, match="python-3"):
        conda("python")


ALL_DENIED: Final = EgressPolicy(denied=(ipaddress.ip_network("127.0.0.0/8"),))
ONLY_HERE: Final = replace(ALL_DENIED, allowed=(ipaddress.ip_network("127.0.0.1"),))


def _install(
    conda: Conda, file: CondaFile, settings: CondaSettings, policy: EgressPolicy | None = None
) -> None:
    """Install behind a guard, as builds do."""
    folder = conda.folder / "tree"
    folder.mkdir()
    job = PackageJob(
        kind=PackageKind.CONDA, folder=folder, platform="linux/amd64", conda=file, compiles=False
    )
    install = GuardedInstaller(PipSettings(policy=policy or EgressPolicy()), settings, install_users=do_job)
    install(job, BuildLog(conda.out))


@pytest.mark.parametrize(
    ("dependency", "channels"),
    [
        ("python=3.12", ("{channel}",)),
        ("{channel}::python=3.12", ("http://platform.invalid",)),
        ("{channel}/noarch/pure-2.0-0.tar.bz2", ("http://platform.invalid",)),
        ("pure[url={channel}/noarch/pure-2.0-0.tar.bz2]", ("http://platform.invalid",)),
    ],
    ids=["channel", "of-one-package", "package", "package-in-brackets"],
)
def test_denied_channel_is_not_contacted(
    conda: Conda, web: WebServer, channel_folder: Path, dependency: str, channels: tuple[str, ...]
) -> None:
    named = tuple(channel.format(channel=conda.channel) for channel in channels)
    file = CondaFile(("python=3.12", dependency.format(channel=conda.channel)), named)
    settings = CondaSettings(mirrors={"http://platform.invalid": channel_folder.as_uri()})
    with pytest.raises(SourceDeniedError, match=r"condaEnvFile: 127\.0\.0\.1 leads to"):
        _install(conda, file, settings, ALL_DENIED)
    assert not web.requests


def test_allowed_channel_is_used(conda: Conda) -> None:
    _install(conda, CondaFile(("python=3.12",), (conda.channel,)), CondaSettings(), ONLY_HERE)


def test_redirect_of_a_channel_to_a_denied_address_is_refused(conda: Conda, web: WebServer) -> None:
    web.respond = lambda request: Response(302, headers={"Location": f"http://127.0.0.2:1{request.path}"})
    with pytest.raises(SourceDeniedError, match=r"127\.0\.0\.2"):
        _install(conda, CondaFile(("python=3.12",), (conda.channel,)), CondaSettings(), ONLY_HERE)


@pytest.mark.parametrize("named", ["own", "{channel}", None])
def test_channels_of_the_platform_are_never_denied(conda: Conda, named: str | None) -> None:
    channels = (named.format(channel=conda.channel),) if named else ()
    settings = CondaSettings((conda.channel,), mirrors={"own": conda.channel})
    _install(conda, CondaFile(("python=3.12",), channels), settings, ALL_DENIED)


def test_denied_scheme_of_a_channel_is_refused(conda: Conda) -> None:
    policy = EgressPolicy(schemes=frozenset({"https"}))
    with pytest.raises(SourceDeniedError, match=r"by http, which build\.sources\.schemes lacks"):
        _install(conda, CondaFile(("python=3.12",), (conda.channel,)), CondaSettings(), policy)


def test_certificate_of_a_private_ca_needs_the_ca_bundle(
    channel_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    server = WebServer(tls)
    server.respond = lambda request: (
        Response(body=(channel_folder / request.path[1:]).read_bytes())
        if (channel_folder / request.path[1:]).is_file()
        else Response(404)
    )
    settings = CondaSettings(channels=(server.url,), retries=0)
    try:
        with pytest.raises(
            PackageIndexUntrustedError, match=r"https://127\.0\.0\.1.*caBundle\.configMapName"
        ):
            install_conda(
                CondaFile(("python=3.12",)), AMD64, tmp_path / "a", settings, BuildLog(io.StringIO())
            )
        settings = replace(settings, ca_bundle=tmp_path / "ca.pem")
        python = install_conda(
            CondaFile(("python=3.12",)), AMD64, tmp_path / "b", settings, BuildLog(io.StringIO())
        )
    finally:
        server.stop()
    assert python == "3.12.4"
    assert "SSL_CERT_FILE" not in os.environ
