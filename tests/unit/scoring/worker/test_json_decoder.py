"""The decoder of requests against json.loads(), and its isolation from the driver's packages."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelyard.scoring.worker import json_decoder, msgspec_core

PACKAGE = Path(msgspec.__file__).parent

DOCUMENTS = 100_000

JSON_ATOMS = [
    "null", "true", "false", "0", "-0", "-0.0", "1", "-7", "1e5", "1E+2", "2e-3", "1e400", "-1e400",
    "1e-400", "5e-324", "1.7976931348623157e308", "1.7976931348623159e308", "9007199254740993",
    "9223372036854775808", "-9223372036854775809", "18446744073709551616", "1" * 40, "9007199254740993.0",
    "0.1234567890123456789012345", "NaN", "Infinity", "-Infinity", "2.2250738585072011e-308", "8.41e21",
    "123456789.123456789e-30", '""', '"a"', '"é"', '"\\u00e9"', '"\\ud83d\\ude00"', '"😀"', '"\\ud800"',
    '"\\udc00\\ud800"', '"\\n\\/\\""', '"\\u0000"', '"\x7f"', '"\u2028"',
]  # fmt: skip
MALFORMED_ATOMS = [
    "01", "1.", ".5", "+1", "-", "1e", "nul", "nan", "'a'", '"\t"', '"\\x"', '"\\u12"', '"', "", "0x1", "1_0",
    "\u00a0", "\ufeff1", "/**/1",
]  # fmt: skip
ATOMS = JSON_ATOMS + MALFORMED_ATOMS
SPACES = ["", "", "", " ", "\n", "\t\r ", "\x0c"]
NOISE = [
    b",",
    b"]",
    b"}",
    b"[",
    b"{",
    b'"',
    b"\\",
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xc3",
    b":",
    b"1",
    b" ",
]


def document(chance: random.Random, depth: int = 0) -> str:
    """Return a document, of which about one in four is malformed."""
    kind = chance.random()
    space = chance.choice(SPACES)
    if depth > 3 or kind < 0.4:
        if kind < 0.2:
            return f"{space}{chance.uniform(-1, 1) * 10.0 ** chance.randint(-320, 308)!r}"
        return space + chance.choice(JSON_ATOMS if kind < 0.39 else MALFORMED_ATOMS) + space
    items = [document(chance, depth + 1) for _ in range(chance.randint(0, 3))]
    if kind < 0.7:
        return f"[{','.join(items)}]{space}"
    keys = [chance.choice(['"a"', '"a"', '"b"', '"\\u0061"', '"é"', f'{space}"c"{space}']) for _ in items]
    return "{" + ",".join(f"{key}:{item}" for key, item in zip(keys, items, strict=True)) + "}"


def outcome(function: Any, data: bytes | memoryview) -> str:
    """Return the value as text, which shows types and signs of zero, or the error with its message."""
    try:
        return repr(function(data))
    except (ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(msgspec_core, "RUNTIME", PACKAGE.parent)
    monkeypatch.setattr(msgspec_core, "core", None)
    return json_decoder.json_decoder()


def test_decoder_is_not_the_one_of_the_standard_library(decoded: Any) -> None:
    assert decoded is not json_decoder.decoded_by_standard_library


def test_documents_decode_as_with_the_standard_library(decoded: Any) -> None:
    chance = random.Random(21)
    errors = 0
    for number in range(DOCUMENTS):
        data = document(chance).encode("utf-8", "surrogatepass")
        if number % 8 == 0:
            at = chance.randint(0, len(data))
            data = data[:at] + chance.choice(NOISE) + data[at + chance.randint(0, 1) :]
        expected = outcome(json.loads, data)
        errors += "Error: " in expected
        assert outcome(decoded, data) == expected, data
    assert DOCUMENTS / 10 < errors < DOCUMENTS / 2


@pytest.mark.parametrize("atom", ATOMS)
@pytest.mark.parametrize(
    "form", ["%s", "[%s]", '{"a": %s, "a": 1}', "%s,1", "1],[%s", "%s]", "[[[%s]]],[[[1]]]"]
)
def test_each_literal_decodes_as_with_the_standard_library(decoded: Any, atom: str, form: str) -> None:
    data = (form % atom).encode()
    assert outcome(decoded, data) == outcome(json.loads, data)
    assert outcome(decoded, memoryview(data)) == outcome(json.loads, data)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-32-be", "latin-1"])
def test_each_encoding_decodes_as_with_the_standard_library(decoded: Any, encoding: str) -> None:
    data = '{"é": ["a", 1]}'.encode(encoding)
    assert outcome(decoded, data) == outcome(json.loads, data)


def test_integer_with_too_many_digits_is_the_error_of_the_standard_library(decoded: Any) -> None:
    limit = sys.get_int_max_str_digits()
    for digits in (limit - 1, limit, limit + 1):
        data = b"1" * digits
        assert outcome(decoded, data) == outcome(json.loads, data)


DEEPEST = """
import json, sys
from pathlib import Path
from modelyard.scoring.worker import json_decoder, msgspec_core
msgspec_core.RUNTIME = Path(sys.argv[1])
def deepest(function, opening, closing):
    low, high = 1, 100_000
    while low < high:
        middle = (low + high + 1) // 2
        try:
            function(opening * middle + b"1" + closing * middle)
            low = middle
        except RecursionError:
            high = middle - 1
    return low
decoded = json_decoder.json_decoder()
assert decoded is not json_decoder.decoded_by_standard_library
for pair in ((b"[", b"]"), (b'{"a":', b"}")):
    print(deepest(decoded, *pair) - deepest(json.loads, *pair))
"""


def test_deepest_document_is_that_of_the_standard_library() -> None:
    """The interpreter is one of its own, because the tracer of coverage takes a level of recursion."""
    path = os.pathsep.join([str(Path(json_decoder.__file__).parents[3]), str(PACKAGE.parent)])
    done = subprocess.run(
        [sys.executable, "-S", "-c", DEEPEST, str(PACKAGE.parent)],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["0", "0"]


def test_decoder_is_the_standard_one_without_msgspec(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(msgspec_core, "RUNTIME", tmp_path)
    monkeypatch.setattr(msgspec_core, "core", None)
    assert json_decoder.json_decoder()(b"[NaN]") != [0]


ISOLATED = """
import sys
sys.path[:0] = [{source!r}]
from modelyard.scoring.worker import json_decoder, msgspec_core
from pathlib import Path
msgspec_core.RUNTIME = Path({runtime!r})
sys.path[0] = {environment!r}
{statement}
decoded = json_decoder.json_decoder()
print(decoded is json_decoder.decoded_by_standard_library, decoded(b'{{"a": 1}}'))
import importlib.util
print(sorted(name for name in sys.modules if name.startswith("msgspec")))
print(importlib.util.find_spec("msgspec") is not None)
"""


def lines_of(tmp_path: Path, statement: str, *, is_own: bool) -> list[str]:
    """Run the decoder in an interpreter without site-packages; with `is_own` the driver has its msgspec."""
    runtime, environment = tmp_path / "runtime", tmp_path / "environment"
    shutil.copytree(PACKAGE, runtime / "msgspec")
    environment.mkdir()
    if is_own:
        shutil.copytree(PACKAGE, environment / "msgspec")
    source = str(Path(json_decoder.__file__).parents[3])
    script = ISOLATED.format(
        source=source, runtime=str(runtime), environment=str(environment), statement=statement
    )
    command = [sys.executable, "-I", "-S", "-c", script]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout
    return output.splitlines()


def test_decoder_cannot_be_imported_by_a_driver(tmp_path: Path) -> None:
    assert lines_of(tmp_path, "", is_own=False) == ["False {'a': 1}", "[]", "False"]


def test_msgspec_of_the_driver_is_untouched(tmp_path: Path) -> None:
    statement = """
import msgspec
before = {name: module for name, module in sys.modules.items() if name.startswith("msgspec")}
def check():
    after = {name: module for name, module in sys.modules.items() if name.startswith("msgspec")}
    assert before == after and "environment" in msgspec.__file__
    try:
        msgspec.json.decode(b"[1,")
    except msgspec.DecodeError:
        print("the driver's error")
    assert msgspec.json.decode(b"[1]") == [1]
import atexit
atexit.register(check)
"""
    lines = lines_of(tmp_path, statement, is_own=True)
    assert lines[0] == "False {'a': 1}"
    assert lines[-2:] == ["True", "the driver's error"]
