"""Modules of Azure ML's packages of 2017 to 2020, for drivers whose environment has none of them."""

import datetime as dt
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.scoring.scoring_process import ScoringProcess

from modelyard.scoring.worker.azureml.installed_sdk import COLLECTORS, InstalledSdk
from modelyard.scoring.worker.legacy_imports import _MODULES, LegacyFinder

SCHEMA = Path(__file__).with_name("service_schema_of_2017.json")
Import = Callable[[str], Any]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Import]:
    """Return the import of a module of Azure ML, as drivers see it."""
    monkeypatch.setattr(sys, "meta_path", [InstalledSdk(), *sys.meta_path, LegacyFinder()])
    yield importlib.import_module
    for name in [name for name in sys.modules if name == "azureml" or name.startswith("azureml.")]:
        del sys.modules[name]


def test_every_module_can_be_imported(module: Import) -> None:
    for name in [*_MODULES, *COLLECTORS]:
        if "pandas" not in name and name != "pkg_resources":
            assert module(name)


@pytest.fixture
def inputs(module: Import) -> Any:
    """Return the inputs of a service_schema.json that Python 3.6 and numpy 1.19 have made."""
    return module("azureml.api.schema.schemaUtil").load_service_schema(str(SCHEMA)).input


def test_input_has_the_types_of_the_samples(module: Import, inputs: Any) -> None:
    body = '{"rows": [[1, 2], [3, 4.5]], "scale": 3}'
    arguments = module("azureml.api.schema.schemaUtil").parse_service_input(body, inputs)
    assert arguments["rows"].dtype == "float64"
    assert arguments["rows"].tolist() == [[1, 2], [3, 4.5]]
    assert arguments["scale"] == 3


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "Input failed JSON deserialization"),
        ("[" * 100_000, "Input failed JSON deserialization"),
        ("[1]", "does not respect the schema"),
        ('{"row": 1}', "Unexpected argument row"),
        ('{"rows": 5}', "expected an array of items"),
        ('{"rows": [1, 2]}', "an array with 2 dimensions is expected; input has 1"),
        ('{"rows": [[1, 2, 3]]}', "array has size 3 on dimension #1, while expected value is 2"),
        ('{"rows": [["x", 1]]}', "Failed to deserialize rows"),
        ('{"rows": [[1, 2], [3]]}', "Failed to deserialize rows"),
        ('{"scale": "3"}', "Expected: <class 'int'> but got <class 'str'>"),
    ],
)
def test_input_of_another_schema_is_a_bad_request(
    module: Import, inputs: Any, body: str, message: str
) -> None:
    bad_request = module("azureml.api.exceptions.BadRequest").BadRequestException
    with pytest.raises(bad_request, match=message.replace("[", r"\[")) as raised:
        module("azureml.api.schema.schemaUtil").parse_service_input(body, inputs)
    assert raised.value.status_code == 400


MOMENT = dt.datetime(2017, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
RECORD = np.array([(1, b"x", "2017-01-02")], dtype=[("n", "i4"), ("b", "S3"), ("t", "M8[s]")])


@pytest.mark.parametrize(
    ("data_type", "sample", "value", "expected"),
    [
        ("STANDARD", 3, 4, 4),
        ("STANDARD", True, False, False),
        ("STANDARD", 1.5, 2.5, 2.5),
        ("STANDARD", b"xyz", "eHl6", b"xyz"),
        ("STANDARD", bytearray(b"x"), "eA==", bytearray(b"x")),
        ("STANDARD", [1, 2, 3, 4], ["a"], ["a"]),
        ("STANDARD", {"a": 1}, {"b": 2}, {"b": 2}),
        ("STANDARD", dt.date(2017, 1, 2), "2018-03-04", dt.date(2018, 3, 4)),
        ("STANDARD", MOMENT, "2017-01-02 03:04:05+00:00", MOMENT),
        ("STANDARD", dt.time(1, 2), "2018-03-04 05:06:07", dt.time(5, 6, 7)),
        ("NUMPY", np.array([1, 2], "int8"), [3], np.array([3], "int8")),
        ("NUMPY", np.array([1], "m8[h]"), ["3 days"], np.array([72], "m8[h]")),
        (
            "NUMPY",
            RECORD,
            [{"n": 2, "b": "y", "t": "2018-01-01"}],
            np.array([(2, b"y", np.datetime64("2018-01-01"))], RECORD.dtype),
        ),
    ],
)
def test_samples_decide_the_types_of_inputs(
    module: Import, tmp_path: Path, data_type: str, sample: Any, value: Any, expected: Any
) -> None:
    types = module("azureml.api.schema.dataTypes").DataTypes
    definition = module("azureml.api.schema.sampleDefinition").SampleDefinition
    schema_util = module("azureml.api.schema.schemaUtil")
    file = tmp_path / "service_schema.json"

    def run(data: Any) -> None: ...

    samples = {"data": definition(getattr(types, data_type), sample)}
    module("azureml.api.realtime.services").generate_schema(run, samples, filepath=str(file))
    schema = schema_util.load_service_schema(str(file)).input
    got = schema_util.parse_service_input(json.dumps({"data": value}), schema)["data"]
    assert type(got) is type(expected)
    assert np.array_equal(got, expected)
    assert getattr(got, "dtype", None) == getattr(expected, "dtype", None)


def test_schema_names_the_modules_of_the_sdk(module: Import) -> None:
    """The installed azure-ml-api-sdk must be able to read the pickle."""
    definition = module("azureml.api.schema.sampleDefinition").SampleDefinition(1, np.array([1]))
    assert b"azureml.api.schema.numpyUtil" in importlib.import_module("base64").b64decode(
        definition.get_schema_string()
    )


def test_inputs_must_be_the_parameters_of_run(module: Import) -> None:
    definition = module("azureml.api.schema.sampleDefinition").SampleDefinition
    generate = module("azureml.api.realtime.services").generate_schema

    def run(rows: Any, scale: Any) -> None: ...

    with pytest.raises(ValueError, match="the parameters of the run function are rows, scale"):
        generate(run, {"rows": definition(1, np.array([1]))})


@pytest.mark.parametrize(("kind", "message"), [(2, "azure-ml-api-sdk==0.1.0a11"), (9, "Invalid schema type")])
def test_samples_of_other_types_are_refused(module: Import, kind: int, message: str) -> None:
    with pytest.raises((ImportError, ValueError), match=message):
        module("azureml.api.schema.sampleDefinition").SampleDefinition(kind, [1])


def test_unreadable_schema_says_how_to_make_another(module: Import, tmp_path: Path) -> None:
    file = tmp_path / "service_schema.json"
    file.write_text(json.dumps({"input": {"x": {"type": 1, "internal": "eA==", "swagger": {}}}}))
    with pytest.raises(ValueError, match="Generate the file with the versions of numpy and pandas"):
        module("azureml.api.schema.schemaUtil").load_service_schema(str(file))


def test_openapi_document_has_schema_and_example_of_the_samples(module: Import) -> None:
    generate = module("azureml.api.realtime.swagger_spec_generator").generate_service_swagger
    document = generate("iris", str(SCHEMA), "2.0", "prefix/")
    assert document["info"]["title"] == "iris"
    assert list(document["paths"]) == ["/prefix/", "/prefix/score"]
    source = document["definitions"]["ServiceInput"]
    assert source["example"] == {"rows": [[1.0, 2.5]], "scale": 2}
    assert source["properties"]["rows"]["items"]["items"] == {"type": "number", "format": "double"}


def test_asset_of_the_workbench_is_found_in_the_working_directory(
    module: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pkl").touch()
    get_local_path = module("azureml.assets").get_local_path
    assert get_local_path("assets/model.pkl.link") == "model.pkl"
    with pytest.raises(FileNotFoundError, match=r"Register the file as a model of the name other\.pkl"):
        get_local_path("other.pkl.link")


@pytest.mark.parametrize(
    ("package", "part"), [("azureml.datacollector", "identifier"), ("azureml.monitoring", "designation")]
)
def test_collector_changes_no_data(
    module: Import,
    package: str,
    part: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collector = module(package).ModelDataCollector
    collector("model.pkl", identifier="inputs").collect([1])
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("AML_MODEL_DC_DEBUG", "true")
    collector("model.pkl", **{part: "inputs"}).collect([1], "id")
    assert capsys.readouterr().out == "model.pkl-inputs id\n[1]\n"


@pytest.mark.parametrize(
    ("files", "model_dir", "name", "version", "found"),
    [
        ("doubler/doubler", "doubler", "doubler", None, "doubler/doubler"),
        ("net/a net/b", "net", "net", None, "net"),
        ("m/1/m m/2/m n/1/n", "", "m", None, "m/2/m"),
        ("m/1/m m/2/m n/1/n", "", "m", 1, "m/1/m"),
        ("m/1/m m/2/m n/1/n", "", "m", 3, None),
        ("m/m", "m", "other", None, None),
    ],
)
def test_model_path_is_that_of_the_image(
    module: Import,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: str,
    model_dir: str,
    name: str,
    version: int | None,
    found: str | None,
) -> None:
    for file in files.split():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path / model_dir))
    model = module("azureml.core").Model
    if found is not None:
        assert model.get_model_path(name, version) == str(tmp_path / found)
        return
    with pytest.raises(Exception, match="is not in this image, which has m"):
        model.get_model_path(name, version)


USER_FILE = """
import json
from azureml.api.exceptions.NotFound import NotFoundException
from azureml.api.exceptions.ServiceUnavailable import ServiceUnavailableException
from azureml.datacollector import ModelDataCollector
from azureml.logging import get_azureml_logger
def init():
    get_azureml_logger().log("started", 1)
def run(rows, scale):
    if scale == 404:
        raise NotFoundException("no such scale")
    if scale == 503:
        raise ServiceUnavailableException("later")
    return json.dumps((rows * scale).tolist())
"""


@pytest.fixture
def scoring(serve: Callable[..., ScoringProcess], module: Import, tmp_path: Path) -> ScoringProcess:
    """Serve the driver that generate_main() has made."""
    app_root = tmp_path / "app"
    app_root.mkdir()
    (app_root / "score.py").write_text(USER_FILE)
    (app_root / "schema.json").write_text((SCHEMA).read_text())
    main = module("azureml.api.realtime.services").generate_main(
        "score.py", "schema.json", str(tmp_path / "x.py")
    )
    return serve(Path(main).read_text(), MODELYARD_WORK_DIR=str(tmp_path / "work"))


def test_generated_driver_serves_by_the_schema(scoring: ScoringProcess) -> None:
    assert scoring.score(b'{"rows": [[1, 2]], "scale": 3}').json() == "[[3.0, 6.0]]"
    document = scoring.request("GET", "/swagger.json").json()
    assert document["definitions"]["ServiceInput"]["example"]["rows"] == [[1.0, 2.5]]
    assert "started: 1" in scoring.log
    for body, status, message in (
        (b"{", 400, "Input failed JSON deserialization"),
        (b'{"rows": [[1]], "scale": 3}', 400, "array has size 1 on dimension #1"),
        (b'{"rows": [[1, 2]]}', 400, "missing 1 required positional argument: 'scale'"),
        (b'{"rows": [[1, 2]], "scale": 404}', 404, "no such scale"),
    ):
        response = scoring.score(body)
        assert response.status == status
        assert message in response.message
    unavailable = scoring.score(b'{"rows": [[1, 2]], "scale": 503}')
    assert (unavailable.status, unavailable.headers["x-ms-run-function-failed"]) == (503, "True")


FAKE_SDK = {
    "azureml/__init__.py": "import pkg_resources\npkg_resources.declare_namespace(__name__)\n",
    "azureml/api/__init__.py": "",
    "azureml/api/schema/__init__.py": "",
    "azureml/api/schema/numpyUtil.py": "import numpy as np\n"
    "def make(): return np.array(object=[1], dtype=np.dtype('int8'), copy=False)\n",
    "azureml/api/realtime/__init__.py": "",
    "azureml/api/realtime/services.py": "import inspect\n"
    "def names(function): return inspect.getargspec(function).args, inspect.getargs\n",
    "azureml/datacollector.py": "raise OSError('libxml++')\n",
}
SCRIPT = """
import sys
sys.path.insert(0, {runtime!r})
from modelyard.scoring.worker import legacy_imports
sys.path[0] = {environment!r}
legacy_imports.install()
from azureml.api.schema import numpyUtil
from azureml.api.realtime import services
from azureml.datacollector import ModelDataCollector
import azureml.assets
print(numpyUtil.__file__, numpyUtil.make().dtype, services.names(lambda a, b: 1)[0])
try:
    import pkg_resources
    pkg_resources.working_set
except AttributeError as error:
    print(error)
"""


def test_installed_sdk_has_precedence_and_works(runtime: Path, tmp_path: Path) -> None:
    """The SDK uses pkg_resources, inspect.getargspec and numpy 1: all of them are gone."""
    for name, text in FAKE_SDK.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    script = SCRIPT.format(runtime=str(runtime), environment=str(tmp_path))
    ran = subprocess.run([sys.executable, "-I", "-c", script], check=False, capture_output=True, text=True)
    assert ran.stderr == ""
    module_line, resources_line = ran.stdout.splitlines()
    assert module_line == f"{tmp_path}/azureml/api/schema/numpyUtil.py int8 ['a', 'b']"
    assert resources_line.startswith("pkg_resources.working_set needs setuptools: add setuptools<82")


class FakeTable:
    """Stands in for pandas.DataFrame: the unit tests run without pandas."""

    def __init__(self, data: list[dict[str, Any]], columns: list[str]) -> None:
        self.rows = [[row[name] for name in columns] for row in data]


@pytest.fixture
def table_schema(module: Import, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the schema of a table with the columns `n`, `at` and `took`, and PandasUtil."""
    timestamp = type(
        "Timestamp", (), {"to_pydatetime": lambda self: MOMENT, "__init__": lambda self, _: None}
    )
    fake = {"DataFrame": FakeTable, "Timestamp": timestamp, "Timedelta": lambda text: f"took {text}"}
    monkeypatch.setitem(sys.modules, "pandas", type("pandas", (), fake))
    monkeypatch.delitem(sys.modules, "modelyard.scoring.worker.azureml.pandas_schema", raising=False)
    pandas_util = module("azureml.api.schema.pandasUtil")
    types = [np.dtype("int64"), np.dtype("M8[ns]"), np.dtype("m8[ns]")]
    internal = pandas_util.PandasSchema((1, 3), ["n", "at", "took"], types)
    yield pandas_util.PandasUtil, module("azureml.api.schema.schemaObjects").Schema(3, internal, {})
    sys.modules.pop("modelyard.scoring.worker.azureml.pandas_schema")


def test_table_has_the_columns_of_the_sample(table_schema: Any) -> None:
    util, schema = table_schema
    table = util.get_input_object([{"took": "1 day", "n": 5, "at": "2017-01-02", "more": 1}], schema)
    assert table.rows == [[5, MOMENT, "took 1 day"]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"n": 5}, "expected an array of items"),
        ([5], "each item should be an object with a field per column"),
        ([{"n": 5, "at": "2017-01-02"}], "the column 'took' is missing"),
        ([{"n": 5, "at": 5, "took": "1 day"}], "a date should be a text, not 5"),
    ],
)
def test_value_that_is_no_table_is_refused(table_schema: Any, value: Any, message: str) -> None:
    util, schema = table_schema
    with pytest.raises((TypeError, ValueError), match=message):
        util.get_input_object(value, schema)
