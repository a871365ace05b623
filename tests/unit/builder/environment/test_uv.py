"""Messages of uv about lines that parse_requirements refuses earlier, and about proxies.

A new version of uv may change its messages: then these tests fail, and the patterns of uv_errors must follow.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.web_server import Response, WebServer
from tests.unit.builder.environment.conftest import HERE, PLATFORM, Installer
from tests.unit.builder.environment.index import Index

from modelyard.builder.environment.requirements import Requirements
from modelyard.builder.environment.target import Target
from modelyard.builder.environment.uv import Uv
from modelyard.contract.errors import (
    BuildFailedError,
    PackageIndexForbiddenError,
    PackageNotFoundError,
    RequirementsInvalidError,
)


def _install(installer: Installer, text: str) -> None:
    work = installer.workspace / "work"
    work.mkdir()
    uv = Uv(Requirements(f"{text}\n"), Target(HERE, PLATFORM), installer.settings, installer.log)
    uv.install([f"--prefix={installer.workspace / 'tree'}"], work)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("numbers=1", "Couldn't parse requirement"),
        ("--unknown", "Unexpected '-'"),
        ("numbers --unknown", "Expected `--hash`"),
        ("--require-hashes\nnumbers>=1 --hash=sha256:" + "0" * 64, "must have their versions pinned"),
        ("--require-hashes\nnumbers==1 --hash=sha256:00", "hash digest length"),
    ],
)
def test_message_about_an_invalid_line_has_its_error(installer: Installer, text: str, pattern: str) -> None:
    with pytest.raises(RequirementsInvalidError, match=pattern) as caught:
        _install(installer, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error"), [(407, PackageIndexForbiddenError), (410, PackageNotFoundError)]
)
def test_status_of_a_proxy_or_a_server_has_its_error(
    installer: Installer, web: WebServer, status: int, error: type[BuildFailedError]
) -> None:
    web.respond = lambda _: Response(status)
    installer.pip_conf = f"[global]\nretries = 0\nproxy = {web.url}\n"
    with pytest.raises(error) as caught:
        _install(installer, "x @ http://wheels.example/x-1.0-py3-none-any.whl")
    assert type(caught.value) is error


@pytest.mark.parametrize("status", [403, 404, 410])
def test_wheel_of_workbench_is_a_line_to_remove(installer: Installer, web: WebServer, status: int) -> None:
    web.respond = lambda _: Response(status)
    installer.pip_conf = f"[global]\nretries = 0\nproxy = {web.url}\n"
    wheel = "azuremldownloads.example/wheels/latest/azureml.assets-1.0.0-py3-none-any.whl?sv=1&sig=2"
    with pytest.raises(PackageNotFoundError, match=r"azureml\.assets-1.* Remove the line: .* azureml\.a"):
        _install(installer, f"http://{wheel}")


def test_unreachable_wheel_of_workbench_is_not_tried_again(installer: Installer) -> None:
    installer.pip_conf = "[global]\nretries = 0\nproxy = http://127.0.0.1:1\n"
    with pytest.raises(PackageNotFoundError, match="Azure ML Workbench") as caught:
        _install(installer, "http://azuremldownloads.example/azureml.logging-1.0.79-py3-none-any.whl")
    assert not caught.value.transient


def test_extra_index_of_the_pip_conf_is_searched_too(
    index: Index, installer: Installer, other_web: WebServer, tmp_path: Path
) -> None:
    index.wheel("both", "1.0")
    Index(other_web).wheel("both", "2.0")
    installer.pip_conf += f"extra-index-url = {other_web.url}/simple\n"
    _install(installer, "both")
    assert (tmp_path / f"tree/lib/python{HERE}/site-packages/both-2.0.dist-info").is_dir()
