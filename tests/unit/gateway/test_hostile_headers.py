"""Headers by which a caller tries to act as somebody else, or to lead others to another server."""

from __future__ import annotations

from typing import Final

import pytest
from tests.unit.gateway.conftest import Api, image, manifest, model

HOSTILE: Final = {
    "Impersonate-User": "admin",
    "Impersonate-Group": "system:masters",
    "X-Remote-User": "admin",
    "X-Forwarded-Host": "evil.example.com",
    "X-Forwarded-Proto": "gopher",
    "Forwarded": "host=evil.example.com",
    "Cookie": "session=admin",
    "Origin": "https://evil.example.com",
}


async def test_headers_of_the_caller_do_not_reach_the_api_server(api: Api) -> None:
    await api.post("/models", model())
    api.server.requests.clear()
    await api("GET", "/models", 200, token="viewer", headers=HOSTILE)
    assert api.server.requests
    sent = repr(api.server.requests).lower()
    assert not [name for name, value in HOSTILE.items() if name.lower() in sent or value.lower() in sent]


async def test_response_names_no_forwarded_host_and_allows_no_origin(api: Api) -> None:
    await api.post("/models", model())
    await api.post("/manifests", manifest("m", "m:1"))
    response = await api("POST", "/images", 202, json=image(), headers=HOSTILE)
    assert response.headers["Operation-Location"].startswith("http://gateway/")
    shown = repr(sorted(response.headers.items())).lower() + response.text
    assert "evil.example.com" not in shown
    assert "gopher" not in shown
    assert not [name for name in response.headers if name.lower().startswith("access-control-")]
    assert "set-cookie" not in response.headers
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    ["../__init__.py", "%2e%2e/__init__.py", "..%2f..%2f__init__.py", "/etc/passwd", "%2fetc%2fpasswd"],
)
async def test_files_of_the_docs_are_those_of_one_folder(api: Api, path: str) -> None:
    assert (await api.http.get("http://gateway/docs/files/swagger-ui.css")).status_code == 200
    assert (await api.http.get(f"http://gateway/docs/files/{path}")).status_code == 404
