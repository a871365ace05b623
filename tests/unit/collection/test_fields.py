"""Fields that are left out or hashed."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json

import pytest

from modelyard.collection.fields import NotJsonError, ProtectedFields


def hashed(value: bytes) -> str:
    return "hmac-sha256:" + hmac.digest(b"key", value, hashlib.sha256).hex()


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("data.ssn", {"data": {"ssn": 1, "age": 2}}, {"data": {"age": 2}}),
        ("$.data.ssn", {"data": {"ssn": 1, "age": 2}}, {"data": {"age": 2}}),
        ("data[*].ssn", {"data": [{"ssn": 1, "age": 2}, {"age": 3}]}, {"data": [{"age": 2}, {"age": 3}]}),
        ("data.ssn", {"data": [[{"ssn": 1}], {"ssn": 2}]}, {"data": [[{}], {}]}),
        ("[*].ssn", [{"ssn": 1}, {"ssn": 2}], [{}, {}]),
        ("ssn", [{"ssn": 1}], [{}]),
        ("rows[*]", {"rows": [1, 2], "n": 2}, {"rows": [], "n": 2}),
        ("$ref", {"$ref": 1, "ref": 2}, {"ref": 2}),
        ("*.ssn", {"a": {"ssn": 1}, "b": {"ssn": 1, "c": 2}}, {"a": {}, "b": {"c": 2}}),
    ],
)
def test_field_is_left_out(path: str, body: object, expected: object) -> None:
    assert json.loads(ProtectedFields([path], [], "").apply(json.dumps(body).encode())) == expected


@pytest.mark.parametrize("body", [b'{ "data": {"ssn2": 1} }', b"[1, 2]", b"3", b'"ssn"'])
def test_body_without_the_field_stays_as_it_came(body: bytes) -> None:
    assert ProtectedFields(["data.ssn"], ["*.name"], "key").apply(body) == body


def test_doubled_field_leaves_no_value() -> None:
    assert ProtectedFields(["ssn"], [], "").apply(b'{"ssn":1,"ssn":2,"a":3}') == b'{"a":3}'


def test_hash_is_that_of_the_text_and_keyed() -> None:
    body = b'{"name":"\xc3\xbc","n":7,"t":"7","o":{"b":1,"a":2},"z":null}'
    found = json.loads(ProtectedFields([], ["*"], "key").apply(body))
    assert found == {
        "name": hashed("ü".encode()),
        "n": hashed(b"7"),
        "t": hashed(b"7"),
        "o": hashed(b'{"a":2,"b":1}'),
        "z": None,
    }


def test_field_is_left_out_without_a_key_of_the_hash() -> None:
    assert ProtectedFields([], ["ssn"], "").apply(b'{"ssn":1}') == b"{}"


@pytest.mark.parametrize("body", [b"ssn=1", b"", b'{"ssn":1', b'{"ssn":NaN}', b"[" * 1500 + b"]" * 1500])
def test_body_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(NotJsonError):
        ProtectedFields(["data.ssn"], [], "").apply(body)


def test_deep_lists_never_end_the_process() -> None:
    body = b"[" * 1000 + b'{"ssn":1}' + b"]" * 1000
    with contextlib.suppress(NotJsonError):  # too deep: the body is not kept
        assert b"ssn" not in ProtectedFields(["ssn"], [], "").apply(body)
