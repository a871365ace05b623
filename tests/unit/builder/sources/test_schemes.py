"""The table of URL schemes."""

from __future__ import annotations

import pytest
from tests.support.web_server import Response, WebServer
from tests.unit.builder.sources.fetcher import Fetcher

from modelyard.contract.errors import SourceInvalidError


def test_unknown_scheme_is_invalid(fetcher: Fetcher) -> None:
    with pytest.raises(SourceInvalidError, match="starts with 'file'"):
        fetcher("file:///etc/passwd")


@pytest.mark.parametrize("ending", ["\n", " \r\n", "\t"])
def test_white_space_after_a_url_is_removed(web: WebServer, fetcher: Fetcher, ending: str) -> None:
    web.respond = lambda _: Response(body=b"x")
    assert fetcher(f"{web.url}/x.bin{ending}").name == "x.bin"
    assert [request.path for request in web.requests] == ["/x.bin"]


@pytest.mark.parametrize("url", ["https://h/a\nb.bin", "s3://bucket/a\nb", "pvc://claim/a\nb"])
def test_control_character_within_a_url_is_named(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(
        SourceInvalidError, match=r"character \d+ of the url is '\\n': write the url in one line"
    ):
        fetcher(url)
