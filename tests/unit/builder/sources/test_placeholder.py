"""Pointers of Git LFS and HTML pages in place of a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.web_server import Response, WebServer
from tests.unit.builder.sources.fetcher import Fetcher, digest_of

from modelyard.builder.sources.fetch import open_stream
from modelyard.builder.sources.placeholder import is_pointer
from modelyard.contract.build_request import Source
from modelyard.contract.errors import DigestMismatchError, SourceRefusedError

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 433000000\n"
PAGE = b"\xef\xbb\xbf\n<!DOCTYPE HTML><title>Sign in</title>"


@pytest.mark.parametrize("digest", [None, digest_of(POINTER)])
def test_pointer_of_git_lfs_is_refused(web: WebServer, fetcher: Fetcher, digest: str | None) -> None:
    web.respond = lambda _: Response(body=POINTER)
    with pytest.raises(
        SourceRefusedError, match=r"pointer of Git LFS to a file of 412.9 MiB.* with /resolve/"
    ) as found:
        fetcher(f"{web.url}/model.bin?sig=s3cret", digest=digest)
    assert "s3cret" not in str(found.value)


@pytest.mark.parametrize("page", [PAGE, b"<html lang=en>", b"<html>"])
def test_html_page_is_refused(web: WebServer, fetcher: Fetcher, page: bytes) -> None:
    web.respond = lambda _: Response(body=page)
    with pytest.raises(
        SourceRefusedError, match=r"/model\.bin is an HTML page.*: use the url that downloads"
    ):
        fetcher(f"{web.url}/model.bin")


def test_html_page_is_refused_in_a_stream(web: WebServer, fetcher: Fetcher) -> None:
    web.respond = lambda _: Response(body=PAGE)
    source = Source(url=f"{web.url}/model.bin")
    stream = open_stream(source, name="x", limit_bytes=1000, context=fetcher.context)
    assert stream is not None
    with stream, pytest.raises(SourceRefusedError, match="is an HTML page"):
        next(stream.open(0))


@pytest.mark.parametrize(
    ("path", "digest"), [("/index.HTML", None), ("/page.htm?x", None), ("/page", digest_of(PAGE))]
)
def test_html_page_with_its_suffix_or_digest_is_fetched(
    web: WebServer, fetcher: Fetcher, path: str, digest: str | None
) -> None:
    web.respond = lambda _: Response(body=PAGE)
    assert fetcher(web.url + path, digest=digest).path.read_bytes() == PAGE


def test_html_page_with_another_digest_is_a_mismatch(web: WebServer, fetcher: Fetcher) -> None:
    web.respond = lambda _: Response(body=PAGE)
    with pytest.raises(DigestMismatchError):
        fetcher(f"{web.url}/model.bin", digest=digest_of(b""))


@pytest.mark.parametrize("source", [{"content": "<html></html>"}, {"url": "data:,<html></html>"}])
def test_inline_html_is_fetched(fetcher: Fetcher, source: dict[str, str]) -> None:
    assert fetcher(**source).path.read_bytes() == b"<html></html>"


@pytest.mark.parametrize(
    "body", [b"", b"<", b"<htmlx>", b"<?xml version='1.0'?>", b"version https://git-lfs"]
)
def test_other_file_is_unchanged(web: WebServer, fetcher: Fetcher, body: bytes) -> None:
    web.respond = lambda _: Response(body=body)
    assert fetcher(f"{web.url}/model.bin").path.read_bytes() == body


def test_pointer_on_the_disk_is_a_short_file_and_no_link(tmp_path: Path) -> None:
    file, link, large = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    file.write_bytes(POINTER)
    link.symlink_to(file)
    large.write_bytes(POINTER + b"x" * 1024)
    assert [is_pointer(path) for path in (file, link, large, tmp_path)] == [True, False, False, False]
