"""URLs of models, assets and requirements."""

from __future__ import annotations

import pytest

from modelyard.contract.urls import (
    clean_file_name,
    file_name,
    requirements_url,
    without_userinfo,
)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/models/model.joblib?sig=x", "model.joblib"),
        ("https://h/my%20model.pkl", "my model.pkl"),
        ("https://h/a%2Fb.pkl", "a_b.pkl"),
        ("https://h/folder/", "folder"),
        ("https://h/%2e%2e", None),
        ("https://h", None),
        ("s3://bucket/deep/key.bin", "key.bin"),
        ("oci://registry/models/diabetes:1", None),
        ("data:text/x-python,print()", None),
        (None, None),
    ],
)
def test_file_name_is_the_last_segment_of_the_path(url: str | None, name: str | None) -> None:
    assert file_name(url) == name


def test_clean_file_name_is_valid_on_linux() -> None:
    assert clean_file_name("é" * 300) == "é" * 127
    assert clean_file_name("a\n\x1b[1mb\\c") == "a__[1mb_c"


@pytest.mark.parametrize(
    ("requirements", "url"),
    [
        ("https://h/requirements.txt?sig=x\n", "https://h/requirements.txt?sig=x"),
        ("\ufeffhttps://h/requirements.txt", "https://h/requirements.txt"),
        ("data:text/plain,numpy", "data:text/plain,numpy"),
        ("https://h/numpy-2-cp311-none-any.whl", None),
        ("https://h/package.tar.gz#sha256=0", None),
        ("git+https://github.com/psf/requests.git@v2.31.0", None),
        ("GIT+ssh://git@github.com/psf/requests.git\n", None),
        ("numpy", None),
        ("numpy\nhttps://h/r.txt", None),
        ("numpy @ https://h/numpy", None),
        ("", None),
    ],
)
def test_requirements_url_is_no_url_of_a_package(requirements: str, url: str | None) -> None:
    assert requirements_url(requirements) == url


def test_without_userinfo_removes_user_and_password() -> None:
    assert without_userinfo("https://a:b@h:1/p?q=1") == "https://h:1/p?q=1"
