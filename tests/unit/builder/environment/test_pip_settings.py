from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.builder.environment.pip_settings import (
    PipSettings,
    uv_variables,
)
from modelyard.contract.errors import PipFailedError

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.mark.parametrize(
    ("pip_conf", "variables"),
    [
        ("", {}),
        (
            "[global]\nindex-url = https://me:pw@i.example/simple\n",
            {"UV_DEFAULT_INDEX": "https://me:pw@i.example/simple"},
        ),
        ("[global]\nindex_url: https://i.example\n", {"UV_DEFAULT_INDEX": "https://i.example"}),
        (
            "[global]\nextra-index-url =\n  https://a.example\n  https://b.example\n",
            {"UV_INDEX": "https://a.example https://b.example"},
        ),
        (
            "[global]\nfind-links = https://a.example https://b.example\n",
            {"UV_FIND_LINKS": "https://a.example,https://b.example"},
        ),
        (
            "[global]\ntrusted-host = a.example\n  b.example:8080\n",
            {"UV_INSECURE_HOST": "a.example b.example:8080"},
        ),
        (
            "[global]\ncert = /ca.pem\nclient-cert = /me.pem\n",
            {"SSL_CERT_FILE": "/ca.pem", "SSL_CLIENT_CERT": "/me.pem"},
        ),
        ("[global]\nproxy = http://p.example:3128\n", dict.fromkeys(PROXIES, "http://p.example:3128")),
        ("[global]\ntimeout = 60\nretries = 9\n", {"UV_HTTP_TIMEOUT": "60", "UV_HTTP_RETRIES": "9"}),
        ("[global]\npre = yes\nno-index = true\n", {"UV_PRERELEASE": "allow", "UV_NO_INDEX": "true"}),
        ("[global]\npre = no\n", {}),
        ("[global]\ntimeout = 60\n[install]\ntimeout = 90\n", {"UV_HTTP_TIMEOUT": "90"}),
        ("[freeze]\ntimeout = 60\n[global]\nquiet = 1\nindex-url =\n", {}),
        ("[global]\nindex-url = https://i.example/%40me\n", {"UV_DEFAULT_INDEX": "https://i.example/%40me"}),
    ],
)
def test_setting_of_pip_has_a_variable_of_uv(pip_conf: str, variables: dict[str, str]) -> None:
    assert uv_variables(pip_conf) == variables


def test_error_of_an_invalid_pip_conf_contains_none_of_its_text() -> None:
    with pytest.raises(PipFailedError) as caught:
        uv_variables("index-url = https://me:s3cret@i.example/simple\n")
    assert "s3cret" not in str(caught.value)


def test_uv_inherits_only_proxies_and_ca_files(tmp_path: Path) -> None:
    inherited = {"HTTPS_PROXY": "http://p.example", "NO_PROXY": "x", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    assert PipSettings().variables(inherited) == {"HTTPS_PROXY": "http://p.example", "NO_PROXY": "x"}
    pip_conf = tmp_path / "pip.conf"
    pip_conf.write_text("[global]\nproxy = http://q.example\ncert = /other.pem\n")
    settings = PipSettings(ca_bundle=Path("/ca.pem"), pip_conf=pip_conf)
    variables = settings.variables(inherited)
    assert {variables[name] for name in PROXIES} == {"http://q.example"}
    assert variables["SSL_CERT_FILE"] == "/ca.pem"
