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
def test_file_name(url: str | None, name: str | None) -> None:
    assert file_name(url) == name


def test_a_file_name_fits_a_file_system() -> None:
    assert clean_file_name("é" * 300) == "é" * 127
    assert clean_file_name("a\n\x1b[1mb\\c") == "a__[1mb_c"


@pytest.mark.parametrize(
    ("requirements", "url"),
    [
        ("https://h/requirements.txt?sig=x\n", "https://h/requirements.txt?sig=x"),
        ("data:text/plain,numpy", "data:text/plain,numpy"),
        ("https://h/numpy-2-cp311-none-any.whl", None),
        ("https://h/package.tar.gz#sha256=0", None),
        ("numpy", None),
        ("numpy\nhttps://h/r.txt", None),
        ("numpy @ https://h/numpy", None),
        ("", None),
    ],
)
def test_requirements_url(requirements: str, url: str | None) -> None:
    assert requirements_url(requirements) == url


def test_without_user() -> None:
    assert without_userinfo("https://a:b@h:1/p?q=1") == "https://h:1/p?q=1"
