"""Downloads to the disk."""

from __future__ import annotations

import shutil
from collections import namedtuple

import pytest
from tests.support.web_server import Response, WebServer
from tests.unit.builder.sources.fetcher import Fetcher

from modelyard.contract.errors import DiskFullError


def test_file_larger_than_the_free_disk_is_not_downloaded(
    web: WebServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")(1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    web.respond = lambda _: Response(body=bytes(1024**2))
    with pytest.raises(DiskFullError, match="1 MiB are needed and 1000 bytes are free"):
        fetcher(f"{web.url}/m")


def test_file_that_changes_is_downloaded_once_more(web: WebServer, fetcher: Fetcher) -> None:
    answers = iter(
        [Response(body=b"old old", drop_after=3), Response(body=b"new new"), Response(body=b"new new")]
    )
    web.respond = lambda _: next(answers)
    assert fetcher(f"{web.url}/m").path.read_bytes() == b"new new"
    assert "m changed during its download" in fetcher.log
