"""docs/reference.md has all variables and all errors of the code."""

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


def test_gateway_sends_no_error_without_a_row_in_the_reference() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| (\d+) \| `(\w+)` \|", reference, re.MULTILINE))
    makers: dict[str, set[str]] = {"ErrorCode": set(), "ErrorResponse": set()}
    made = set()
    for file, node in _nodes(PACKAGE / "gateway"):
        if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in makers:
            makers[name].add(file.name)
            if name == "ErrorCode":
                made.add((str(ast.literal_eval(node.args[0])), ast.literal_eval(node.args[1])))
    assert makers == {"ErrorCode": {"error_codes.py"}, "ErrorResponse": {"errors.py"}}
    assert len(made) > 30
    assert made == rows
