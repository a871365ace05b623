"""Advice for drivers and models of 2017 that present Python and packages cannot run."""

import base64
import collections
import inspect
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.unit.scoring.scoring_process import ScoringProcess

from modelyard.scoring.worker.api_errors import status_and_message
from modelyard.scoring.worker.old_code import advice


def _raised(code: str) -> BaseException:
    with pytest.raises(BaseException) as raised:
        exec(
            code,
            {
                "np": np,
                "collections": collections,
                "inspect": inspect,
                "time": time,
                "base64": base64,
            },
        )
    return raised.value


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("np.float", "numpy 1.24 removed numpy.float: write float"),
        ("np.float_", "numpy 2 removed numpy.float_"),
        ("collections.Mapping", "collections.abc.Mapping"),
        ("from collections import MutableMapping", "collections.abc.MutableMapping"),
        ("inspect.getargspec(print)", "inspect.getfullargspec"),
        ("time.clock()", "time.perf_counter"),
        ("from fractions import gcd", "math.gcd"),
        ("base64.decodestring(b'')", "base64.decodebytes"),
        ("import json; json.loads('1', encoding='utf-8')", "leave it out"),
        ("import cPickle", "Python 2"),
        ("{}.iteritems()", "items()"),
        ("unicode('x')", "Python 2"),
        ("print 'x'", "Python 2"),
        ("try: pass\nexcept ValueError, e: pass", "Python 2"),
        ("def f(async=1): pass", "keywords: rename them"),
        ("b'\\xe9'.decode('ascii')", "encoding='latin1'"),
    ],
)
def test_removed_name_has_advice(code: str, expected: str) -> None:
    assert expected in str(advice(_raised(code)))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ImportError("cannot import name 'joblib' from 'sklearn.externals' (…)"), "write `import joblib`"),
        (ModuleNotFoundError("No module named 'sklearn.externals.joblib'"), "write `import joblib`"),
        (ModuleNotFoundError("No module named 'sklearn.cross_validation'"), "sklearn.model_selection"),
        (ModuleNotFoundError("No module named 'sklearn.ensemble.forest'"), "train the model again"),
        (ModuleNotFoundError("No module named 'pandas.core.indexes.numeric'"), "train the model again"),
        (ValueError("node array from the pickle has an incompatible dtype:"), "train the model again"),
        (
            AttributeError("'LogisticRegression' object has no attribute 'multi_class'"),
            "the model LogisticRegression was pickled with another scikit-learn",
        ),
        (AttributeError("'DataFrame' object has no attribute 'ix'"), ".loc or .iloc"),
        (ModuleNotFoundError("No module named 'numpy._core'"), "add numpy>=2"),
        (ValueError("numpy.dtype size changed, may indicate binary incompatibility"), "add numpy<2"),
        (ModuleNotFoundError("No module named 'imp'"), "pythonVersion to 3.11"),
        (ModuleNotFoundError("No module named 'cgi'"), "pythonVersion to 3.12"),
        (ModuleNotFoundError("No module named 'joblib'"), "add joblib to pipRequirements"),
        (AttributeError("module 'tensorflow' has no attribute 'Session'"), "tensorflow.compat.v1.Session"),
        (
            ImportError("cannot import name 'Workspace' from 'azureml.core' (unknown location)"),
            "azureml-core",
        ),
    ],
)
def test_old_package_has_advice(error: BaseException, expected: str) -> None:
    assert expected in str(advice(error))


@pytest.mark.parametrize(
    "error", [ValueError("x"), ImportError("No module named 'helper'"), SyntaxError("invalid syntax")]
)
def test_other_errors_have_no_advice(error: BaseException) -> None:
    assert advice(error) is None


def test_model_that_is_elsewhere_has_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver of 2017 opens models in the working directory, which on a laptop is its own folder."""
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    (tmp_path / "net.pkl").touch()
    assert f"the model is {tmp_path}/net.pkl" in str(advice(_raised("open('net.pkl')")))
    assert advice(_raised("open('other.pkl')")) is None
    assert advice(FileNotFoundError("of a driver's own")) is None


def test_log_has_the_advice(serve: Callable[..., ScoringProcess]) -> None:
    driver = "from collections import Mapping\ndef init(): pass\ndef run(data): pass\n"
    scoring = serve(driver, wait_ready=False)
    assert scoring.exit_code() == 3
    (line,) = [line for line in scoring.log_lines() if line["level"] == "critical"]
    assert line["message"].startswith("the import of the driver driver.py failed: ")


def test_log_of_a_request_has_the_advice(serve: Callable[..., ScoringProcess]) -> None:
    scoring = serve("import numpy\ndef init(): pass\ndef run(data): return numpy.float(data)\n")
    assert scoring.score(b"1").status == 500
    assert "numpy 1.24 removed numpy.float: write float" in scoring.log


def test_any_error_of_the_sdks_conversion_is_the_clients() -> None:
    """azure-ml-api-sdk raises KeyError for a table without one of its columns."""
    code = "def parse_service_input(body): return {}['width']\nparse_service_input('')"
    sdk = {"__name__": "azureml.api.schema.schemaUtil"}
    with pytest.raises(KeyError) as raised:
        exec(code, sdk)
    assert status_and_message(raised.value) == (
        400,
        "The input does not match the schema: KeyError: 'width'",
    )
    assert status_and_message(KeyError("width")) is None
