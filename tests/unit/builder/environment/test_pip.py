"""Installations by uv from a package index in a thread."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.support.web_server import (
    Response,
    WebServer,
)
from tests.unit.builder.environment.conftest import (
    HERE,
    PLATFORM,
    Installer,
)
from tests.unit.builder.environment.index import Index

from modelyard.builder.environment import pip
from modelyard.builder.environment.packages import find_packages
from modelyard.builder.environment.pip import install_runtime
from modelyard.builder.environment.target import Target
from modelyard.contract.errors import (
    BuildFailedError,
    PackageIndexForbiddenError,
    PackageIndexUnavailableError,
    PackageIndexUntrustedError,
    PackageNotFoundError,
    PipFailedError,
    RequirementsConflictError,
    RequirementsInvalidError,
    WheelMissingError,
)
from modelyard.contract.image_layout import ENVIRONMENT
from modelyard.contract.scoring_runtime import RUNTIME_REQUIREMENTS

RUNTIME_PINS = re.findall(r"^\w+==\S+", RUNTIME_REQUIREMENTS.read_text(), re.MULTILINE)
SITE = f"lib/python{HERE}/site-packages"
ELSEWHERE = "3.12" if HERE != "3.12" else "3.11"
PYTHON = getattr(
    sys, "_base_executable", sys.executable
)  # a Python of a virtual environment has no user base


def _run(tree: Path, *command: str) -> str:
    """Return the output of a command that has the tree as its user base, as in a container."""
    path = f"{tree / 'bin'}:{Path(PYTHON).parent}:{os.defpath}"
    variables = {"PYTHONUSERBASE": str(tree), "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=variables, check=True, capture_output=True, text=True).stdout.strip()


def _files(tree: Path) -> dict[str, bytes]:
    return {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}


def test_user_base_gives_modules_scripts_and_data(index: Index, installer: Installer) -> None:
    index.wheel("dependency", files={"dependency.pth": "import os; os.environ['FROM_PTH'] = 'yes'\n"})
    index.wheel(
        "my-app",
        requires=["dependency"],
        scripts=["my-app"],
        files={
            "my_app-1.0.data/scripts/old-style": "#!python\nimport my_app; print('old')\n",
            "my_app-1.0.data/data/share/my-app/data.txt": "data",
        },
    )
    tree = installer("my-app")
    assert _run(tree, "my-app") == "my-app"
    assert _run(tree, "old-style") == "old"
    assert _run(tree, PYTHON, "-c", "import os; print(os.environ['FROM_PTH'])") == "yes"
    assert (tree / "share/my-app/data.txt").read_text() == "data"
    assert " + my-app==1.0" in installer.out.getvalue()


def test_wheels_fit_the_target_and_not_the_builder(index: Index, installer: Installer) -> None:
    here, there = HERE.replace(".", ""), ELSEWHERE.replace(".", "")
    index.wheel("native", tag=f"cp{here}-cp{here}-manylinux_2_28_x86_64")
    index.wheel("native", tag=f"cp{there}-cp{there}-manylinux_2_28_aarch64")
    index.wheel("native", "2.0", tag=f"cp{there}-cp{there}-manylinux_2_39_aarch64")
    index.wheel("native", "3.0", tag=f"cp{there}-cp{there}-musllinux_1_2_aarch64")
    tree = installer("native", Target(ELSEWHERE, "linux/arm64"))
    installed = tree / f"lib/python{ELSEWHERE}/site-packages/native/__init__.py"
    assert "manylinux_2_28_aarch64" in installed.read_text()
    assert [path.name for path in (tree / "lib").iterdir()] == [f"python{ELSEWHERE}"]


def test_markers_and_requires_python_are_evaluated_for_the_target(index: Index, installer: Installer) -> None:
    index.wheel("everywhere")
    index.wheel("picky", "1.0", python=">=3.8")
    index.wheel("picky", "2.0", python=">=3.12.4")
    tree = installer("everywhere\npicky\nnowhere; python_version < '3'", Target("3.12.5", PLATFORM))
    assert [(package.name, package.version) for package in find_packages(tree)] == [
        ("everywhere", "1.0"),
        ("picky", "2.0"),
    ]


def test_equal_packages_make_equal_files_without_traces_of_the_builder(
    index: Index, installer: Installer
) -> None:
    url = index.wheel("pinned", files={"pinned/sets.py": "def f(x): return x in {'a', 'b', 'c'}\n"})
    index.wheel("ranged", scripts=["ranged"])
    text = f"pinned @ {url}?token=s3cret\nranged"
    trees = [installer(text, folder=folder) for folder in ("a", "c")]
    assert _files(trees[0]) == _files(trees[1])
    assert any(name.endswith(".pyc") for name in _files(trees[0]))
    for content in _files(trees[0]).values():
        assert str(installer.workspace).encode() not in content
        assert sys.executable.encode() not in content
        assert b"s3cret" not in content
    assert "s3cret" not in installer.out.getvalue()
    assert sorted(path.name for path in installer.workspace.iterdir()) == ["a", "c", "pip.conf"]


def test_record_lists_existing_files_with_their_hashes(index: Index, installer: Installer) -> None:
    index.wheel(
        "whole", scripts=["whole"], files={"whole-1.0.data/headers/whole.h": "", "whole/empty.txt": ""}
    )
    tree = installer("whole")
    record = tree / SITE / "whole-1.0.dist-info/RECORD"
    rows = list(csv.reader(record.read_text().splitlines()))
    assert rows == sorted(rows)
    assert any(path.endswith("bin/whole") for path, *_ in rows)
    for path, hashed, size in rows:
        content = (record.parent.parent / path).read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        assert (hashed, size) in {(f"sha256={digest}", str(len(content))), ("", "")}


def test_byte_code_has_the_path_in_the_image_and_is_unchecked(index: Index, installer: Installer) -> None:
    index.wheel("fast", files={"fast/tests/test_it.py": "", "fast/python2.py": "print 'old'\n"})
    tree = installer("fast")
    compiled = sorted(path.name for path in (tree / SITE).rglob("*.pyc"))
    assert compiled == [f"__init__.{sys.implementation.cache_tag}.pyc"]
    (pyc,) = (tree / SITE).rglob("*.pyc")
    assert pyc.read_bytes()[4:8] == b"\x01\0\0\0"  # unchecked hash: https://peps.python.org/pep-0552/
    assert f"{ENVIRONMENT}/{SITE}/fast/__init__.py".encode() in pyc.read_bytes()


def test_log_says_that_no_python_compiles_byte_code(
    index: Index, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(installer.workspace))
    index.wheel("slow")
    tree = installer("slow", Target(ELSEWHERE, PLATFORM))
    assert list(tree.rglob("*.pyc")) == []
    assert f"the builder has no Python {ELSEWHERE}" in installer.out.getvalue()


def test_installed_packages_of_the_folder_are_reused(index: Index, installer: Installer) -> None:
    index.wheel("numbers", "1.0")
    index.wheel("numbers", "2.0")
    index.wheel("user", requires=["numbers"])
    target = Target(ELSEWHERE, PLATFORM)
    installer("numbers==1.0", target)
    tree = installer("user", target)
    assert [str(package.purl) for package in find_packages(tree)] == [
        "pkg:pypi/numbers@1.0",
        "pkg:pypi/user@1.0",
    ]


def test_empty_requirements_install_nothing(installer: Installer) -> None:
    assert _files(installer("# nothing yet\n")) == {}


def test_runtime_is_not_installed_from_wheels_with_other_hashes(index: Index, installer: Installer) -> None:
    for name, version in (item.split("==") for item in RUNTIME_PINS):
        index.wheel(name, version)
    folder = installer.workspace / "runtime"
    with pytest.raises(RequirementsInvalidError, match=r"(?i)hash"):
        install_runtime(Target(HERE, PLATFORM), folder, installer.settings, installer.log)


def test_runtime_is_installed_beside_its_dependencies(
    index: Index, installer: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "without-hashes.txt"  # the wheels of this index have other hashes
    file.write_text("\n".join(RUNTIME_PINS))
    monkeypatch.setattr(pip, "RUNTIME_REQUIREMENTS", file)
    index.wheel("httptools", "0.9.0")
    index.wheel("markupsafe", "3.0.4")
    index.wheel("msgspec", "0.23.0")
    index.wheel("uvloop", "0.23.0")
    index.wheel("werkzeug", "3.1.9")
    folder = installer.workspace / "runtime"
    install_runtime(Target(HERE, PLATFORM), folder, installer.settings, installer.log)
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".dist-info") == [
        "httptools",
        "markupsafe",
        "modelyard",
        "msgspec",
        "uvloop",
        "werkzeug",
    ]
    script = "import modelyard.scoring.front.server, sys; print(modelyard.__file__, 'site' in sys.modules)"
    run = [
        sys.executable,
        "-S",
        "-P",
        "-c",
        script.replace("modelyard.scoring.front.server", "modelyard.scoring"),
    ]
    variables = {"PYTHONPATH": str(folder)}
    output = subprocess.run(run, env=variables, check=True, capture_output=True, text=True).stdout
    assert output.split() == [str(folder / "modelyard/__init__.py"), "False"]
    assert [package.name for package in find_packages(folder)] == [
        "httptools",
        "markupsafe",
        "msgspec",
        "uvloop",
        "werkzeug",
    ]
    assert (folder / "modelyard/scoring/__pycache__").is_dir()


@pytest.mark.parametrize(
    ("requirements", "error", "pattern"),
    [
        ("source", WheelMissingError, r"source==1.0 has no usable wheels.*allow source distributions"),
        ("elsewhere", WheelMissingError, r"elsewhere==1.0 has no wheels with a matching platform tag"),
        ("old-python", PackageNotFoundError, r"old-python==1.0 requires Python >=3.99"),
        ("numbers==9", PackageNotFoundError, r"there is no version of numbers==9"),
        ("numbers>=9", PackageNotFoundError, r"numbers<=2.0 is available.*numbers>=9"),
        ("unheard-of", PackageNotFoundError, r"unheard-of was not found"),
        (
            "user\nnumbers<2",
            RequirementsConflictError,
            r"all versions of user depend on numbers>=2.*numbers<2",
        ),
        ("numbers==1.0\nnumbers==2.0", RequirementsConflictError, r"numbers==1.0 and numbers==2.0"),
        ("numbers=1", RequirementsInvalidError, r"numbers=1"),
        ("numbers 1", RequirementsInvalidError, r"numbers 1"),
        ("numbers==1.0 --hash=sha256:" + "0" * 64, RequirementsInvalidError, r"Hash mismatch for `numbers"),
        ("--require-hashes\nnumbers==1.0", RequirementsInvalidError, r"must have a hash.*numbers==1.0"),
        ("x @ {url}/files/x-1.0-py3-none-any.whl", PackageNotFoundError, r"x-1.0-py3-none-any.whl"),
        ("x @ {url}/files/x.whl", RequirementsInvalidError, r"x.whl"),
        ("--index-url http://127.0.0.1:1/\nnumbers", PackageIndexUnavailableError, r"127.0.0.1:1"),
        ("--find-links http://127.0.0.1:1/\nnumbers", PackageIndexUnavailableError, r"127.0.0.1:1"),
    ],
)
def test_failure_names_the_package(
    index: Index, installer: Installer, requirements: str, error: type[BuildFailedError], pattern: str
) -> None:
    index.sdist("source")
    index.wheel("elsewhere", tag="cp311-abi3-win_amd64")
    index.wheel("old-python", python=">=3.99")
    index.wheel("numbers", "1.0")
    index.wheel("numbers", "2.0")
    index.wheel("user", requires=["numbers>=2"])
    with pytest.raises(error) as caught:
        installer(requirements.format(url=index.url))
    assert type(caught.value) is error
    assert re.search(pattern, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(installer.workspace) not in str(caught.value)


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Response(503), PackageIndexUnavailableError),
        (Response(429), PackageIndexUnavailableError),
        (Response(403), PackageIndexForbiddenError),
        (
            Response(body=b"x" * 100, headers={"Content-Type": "text/html"}, drop_after=1),
            PackageIndexUnavailableError,
        ),
    ],
    ids=["down", "overloaded", "forbidden", "broken"],
)
def test_failing_index_is_named_by_its_address(
    index: Index, installer: Installer, failure: Response, error: type[BuildFailedError]
) -> None:
    index.failure = failure
    with pytest.raises(error) as caught:
        installer("numbers")
    assert type(caught.value) is error
    assert "127.0.0.1" in str(caught.value)


def test_index_with_credentials_in_the_pip_conf(index: Index, installer: Installer) -> None:
    index.wheel("secret-sauce")
    index.authorization = "Basic " + base64.b64encode(b"me:s3cret").decode()
    with pytest.raises(PackageIndexForbiddenError, match=r"build\.pip\.secretName"):
        installer("secret-sauce", folder="refused")
    installer.pip_conf = installer.pip_conf.replace("http://", "http://me:s3cret@")
    assert (installer("secret-sauce") / SITE / "secret_sauce").is_dir()
    assert "s3cret" not in installer.out.getvalue()


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def private_index(ca: trustme.CA) -> Iterator[Index]:
    """An index with a certificate of a private CA."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    server = WebServer(tls)
    yield Index(server)
    server.stop()


def test_certificate_of_a_private_ca_needs_the_ca_bundle(
    ca: trustme.CA, private_index: Index, tmp_path: Path
) -> None:
    private_index.wheel("private")
    installer = Installer(private_index, tmp_path)
    with pytest.raises(PackageIndexUntrustedError, match=r"https://127\.0\.0\.1.*caBundle\.configMapName"):
        installer("private", folder="refused")
    installer.ca_bundle = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(installer.ca_bundle))
    assert (installer("private") / SITE / "private").is_dir()


def test_trusted_host_option_skips_the_check_of_the_certificate(private_index: Index, tmp_path: Path) -> None:
    private_index.wheel("private")
    installer = Installer(private_index, tmp_path)
    assert (installer("--trusted-host 127.0.0.1\nprivate") / SITE / "private").is_dir()


def test_best_version_of_all_indexes_is_installed(
    index: Index, installer: Installer, other_web: WebServer
) -> None:
    index.wheel("both", "2.0")
    other = Index(other_web)
    other.wheel("both", "1.0")
    other.wheel("only-there")
    tree = installer(f"--extra-index-url {other.url}\nboth\nonly-there")
    assert [package.version for package in find_packages(tree)] == ["2.0", "1.0"]


def test_cancelled_build_leaves_no_folder_of_uv(index: Index, installer: Installer) -> None:
    def cancel(line: str) -> None:
        raise SystemExit(143)

    installer.log.write = cancel  # type: ignore[method-assign]
    index.wheel("numbers")
    with pytest.raises(SystemExit):
        installer("numbers")
    assert [path.name for path in installer.workspace.glob(".uv-*")] == []


def test_index_url_option_replaces_the_index_of_the_pip_conf(index: Index, installer: Installer) -> None:
    index.wheel("numbers")
    url = index.url
    installer.pip_conf = "[global]\nindex-url = http://127.0.0.1:1/\nretries = 0\n"
    assert (installer(f"--index-url {url}\nnumbers") / SITE / "numbers").is_dir()


def test_unknown_failure_has_the_message_of_uv(index: Index, installer: Installer) -> None:
    index.wheel("numbers")
    installer.pip_conf += "constraint = /nowhere.txt\n"
    with pytest.raises(PipFailedError, match=r"/nowhere\.txt"):
        installer("numbers")
