"""The system of a base image is downloaded from the guard, and its compilers find its own headers."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
from pathlib import Path

import pytest
from tests.support.base_layer import Content, layer_of, program_files
from tests.support.web_server import Response, WebServer

from modelyard.builder.base_system.system import BaseFiles, BaseLayer, BaseSystem
from modelyard.contract.errors import PackageIndexUnavailableError, SourceBuildFailedError

TAR = "application/vnd.oci.image.layer.v1.tar"
PATH = ("/usr/local/bin", "/usr/bin")


@pytest.fixture
def system(tmp_path: Path) -> BaseSystem:
    return BaseSystem(folder=tmp_path / "system", path=PATH, cache=Path("/tmp/my-unused"))


def _base(web: WebServer, content: bytes, media_type: str = TAR, *, sent: bytes | None = None) -> BaseFiles:
    """Serve a layer as the guard does, which gets absolute URLs as a proxy."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    body = content if sent is None else sent
    web.respond = lambda request: Response(200 if request.path.endswith(f"/{digest}") else 404, body)
    return BaseFiles(layers=(BaseLayer(media_type=media_type, digest=digest),), path=PATH)


def test_compiler_gets_the_root_before_its_paths(system: BaseSystem, web: WebServer) -> None:
    content: dict[str, Content] = {
        **program_files("cat"),
        "usr/bin/x86_64-linux-gnu-gcc-14": b'#!/bin/sh\nprintf "%s\\n" "$@"\n',
        "etc/alternatives/cc": "/usr/bin/x86_64-linux-gnu-gcc-14",
        "usr/bin/cc": "/etc/alternatives/cc",
        "usr/bin/c89": b"",
        "usr/include/own/own.h": b"",
        "usr/bin/python3.99": b"#!/bin/sh\n",
        "usr/lib/x86_64-linux-gnu/pkgconfig/libpq.pc": b"",
    }
    layer = gzip.compress(layer_of(content))
    system.prepare(_base(web, layer, f"{TAR}+gzip"), web.url)
    compilers = Path(system.variables["PATH"].partition(":")[0])
    assert sorted(path.name for path in compilers.iterdir()) == ["cc", "x86_64-linux-gnu-gcc-14"]
    command = [compilers / "cc", "-I/usr/include/own", "-L/other", "-DTEXT='a b'", "/usr/include/own"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    root = system.root
    assert ran.stdout.splitlines() == [
        *(f"--sysroot={root}", f"-I{root}/usr/include/own", "-L/other", "-DTEXT='a b'", "/usr/include/own")
    ]
    assert system.python("3.99") == root / "usr/bin/python3.99"
    assert system.python("3.98") is None
    assert system.variables["PKG_CONFIG_LIBDIR"] == str(root / "usr/lib/x86_64-linux-gnu/pkgconfig")


def test_layer_with_other_bytes_is_refused(system: BaseSystem, web: WebServer) -> None:
    base = _base(web, layer_of(program_files("cat")), sent=layer_of({"other": b""}))
    with pytest.raises(PackageIndexUnavailableError, match="its bytes have the digest"):
        system.prepare(base, web.url)
    assert len(web.requests) == 3


def test_missing_layer_is_an_error(system: BaseSystem, web: WebServer) -> None:
    base = BaseFiles(layers=(BaseLayer(media_type=TAR, digest="sha256:0"),), path=PATH)
    with pytest.raises(PackageIndexUnavailableError, match="cannot be unpacked: HTTP Error 404"):
        system.prepare(base, web.url)


@pytest.mark.parametrize(
    ("media_type", "message"), [(f"{TAR}+zstd", "use gzip"), (TAR, "use one with glibc")]
)
def test_image_whose_programs_cannot_run_is_refused(
    system: BaseSystem, web: WebServer, media_type: str, message: str
) -> None:
    with pytest.raises(SourceBuildFailedError, match=message):
        system.prepare(_base(web, layer_of({"etc/os-release": b""}), media_type), web.url)
