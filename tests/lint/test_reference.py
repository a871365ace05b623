"""docs/reference.md and docs/rest-api.md have all variables and all errors of the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.lint.test_examples import load_reference

from modelyard.scoring.contract import Variable

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "modelyard"
SCORING = PACKAGE / "scoring"

OF_THE_SYSTEM = {
    "HOME",
    "LOGNAME",
    "PYSPARK_PYTHON",
    "PYTHONPATH",
    "SPARK_CONF_DIR",
    "TMPDIR",
    "USER",
}
"""Variables of the operating system, Python and Spark, which their own documents describe."""

ENTRY_MODULE = SCORING / "worker" / "entry" / "entry_module.py"
"""Child processes of a driver import this file without the package of the runtime."""


def _nodes(folder: Path) -> Iterator[tuple[Path, ast.AST]]:
    """Yield each node of the syntax trees of a folder, with its file."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            yield file, node


def test_scoring_reads_no_variable_without_a_row_in_the_reference() -> None:
    found = set()
    for file, node in _nodes(SCORING):
        if isinstance(node, ast.Subscript):
            owner, keys = node.value, [node.slice]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            owner, keys = node.func.value, node.args[:1]
        else:
            continue
        if re.search(r"\b(environ|environment)\b", ast.unparse(owner)) and file != ENTRY_MODULE:
            found |= {key.value for key in keys if isinstance(key, ast.Constant)}
    assert found <= OF_THE_SYSTEM, "name it in contract.Variable, with a text"


def test_each_variable_has_a_text() -> None:
    rows = dict(load_reference().variables())
    assert set(rows) == {value for name, value in vars(Variable).items() if name.isupper()}
    assert [name for name, text in rows.items() if not text] == []


def test_scoring_sends_no_error_without_a_row_in_the_reference() -> None:
    callers = {
        file.name
        for file, node in _nodes(SCORING)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "error_response"
    }
    # A probe of the Open Inference Protocol repeats the text of the probe at / or /ready.
    assert callers == {"errors.py", "inference_endpoint.py"}, "name the error in front/errors.py"


def test_each_error_of_the_gateway_has_a_row() -> None:
    statuses = {"bad_request": 400, "unavailable": 503}
    sent = set()
    for _, node in _nodes(PACKAGE / "gateway"):
        if not isinstance(node, ast.Call):
            continue
        name, arguments = ast.unparse(node.func), node.args
        if name in statuses and isinstance(arguments[0], ast.Constant):
            sent.add((statuses[name], arguments[0].value))
        elif name == "ApiError" and isinstance(arguments[1], ast.Constant):
            sent.add((ast.literal_eval(arguments[0]), arguments[1].value))
    text = (ROOT / "docs" / "rest-api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d, ]+) \| (.*?) \|", text, re.MULTILINE)
    described = {
        (int(status), code)
        for numbers, codes in rows
        for status in numbers.split(", ")
        for code in re.findall(r"`(\w+)`", codes)
    }
    missing = {pair for pair in sent if pair not in described and not pair[1].endswith("NotFound")}
    assert len(sent) > 15
    assert missing == set()
