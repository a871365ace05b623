"""The collectors that drivers import: records of a real scoring process, with the ids of their requests."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.scoring.scoring_process import request_on
from tests.unit.scoring.spool.spool_samples import records

PANDAS = '''
class DataFrame:
    """Stands in for pandas, if the environment has none."""
    def __init__(self, rows): self.rows = rows
    def to_json(self, orient, **options):
        import json
        assert orient == "records"
        return json.dumps(self.rows)
'''

INSTALLED = {
    "azureml/__init__.py": "",
    "azureml/ai/__init__.py": "",
    "azureml/ai/monitoring/__init__.py": "raise OSError('the installed package')",
    "azureml/monitoring.py": "raise OSError('the installed package')",
}

DRIVER = """
import threading
from azureml.ai.monitoring import Collector
from azureml.ai.monitoring.collector import Collector as SameCollector
from azureml.ai.monitoring.context import BasicCorrelationContext, CorrelationContext, get_context
from azureml.datacollector import ModelDataCollector as CollectorOf2017
from azureml.monitoring import ModelDataCollector
from pandas import DataFrame

def init():
    global inputs, outputs, before, after, of_2017, errors
    errors = []
    inputs = Collector(name="model_inputs", on_error=errors.append)
    outputs = SameCollector(name="model_outputs", on_error=errors.append)
    before = ModelDataCollector("price", designation="inputs", feature_names=["a", "b"])
    after = ModelDataCollector("price", designation="predictions")
    of_2017 = CollectorOf2017("../m", identifier="x")

def run(data):
    if data == "own":
        inputs.collect(DataFrame([{"a": 1}]), BasicCorrelationContext(id="mine"))
        correlations = before.collect([1, 2], "user")
        predictions = after.add_correlations([3], correlations)
        after.collect(predictions)
        return correlations["$aml_dc_correlation_id"]
    if data == "bad":
        inputs.collect({"a": 1})
        return [str(type(error).__name__) for error in errors]
    if data == "thread":
        thread = threading.Thread(target=lambda: inputs.collect(DataFrame([{"a": data}])))
        thread.start()
        thread.join()
        return 1
    context = inputs.collect(DataFrame([{"a": data}]))
    outputs.collect(DataFrame([{"b": data}]), context)
    of_2017.collect([[1, 2], [3, 4]])
    return str(context)
"""

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def prepare(folder: Path) -> dict[str, str]:
    for name, text in {"pandas.py": PANDAS, **INSTALLED}.items():
        file = folder / "app" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "spool").mkdir()
    return {"MODELYARD_COLLECTION_DIR": str(folder / "spool")}


def test_data_of_collectors_has_the_ids_of_the_request(serve, tmp_path: Path) -> None:
    scoring = serve(DRIVER, **prepare(tmp_path))
    with scoring.connection() as connection:

        def ask(body: bytes) -> object:
            headers = {"x-request-id": body.decode(), "traceparent": TRACE}
            return request_on(connection, "POST", "/score", body, headers).json()

        answers = [ask(body) for body in (b"one", b"own", b"bad", b"thread")]
    scoring.terminate()
    assert scoring.exit_code() == 0

    assert answers[0] == "one"
    assert str(answers[1]).startswith("user-")
    assert answers[2:] == [["TypeError"], 1]
    found = [record for record in records(tmp_path / "spool") if record.kind == "driver"]
    rows = [
        (one.name, one.request_id, one.correlation_id, json.loads(one.request or one.response))
        for one in found
    ]
    assert rows == [
        ("model_inputs", "one", "one", [{"a": "one"}]),
        ("model_outputs", "one", "one", [{"b": "one"}]),
        (".._m-x", "one", "one", [[1, 2], [3, 4]]),
        ("model_inputs", "own", "mine", [{"a": 1}]),
        ("price-inputs", "own", answers[1], [{"a": 1, "b": 2}]),
        ("price-predictions", "own", answers[1], [[3]]),
        ("model_inputs", "thread", "thread", [{"a": "thread"}]),
    ]
    assert {one.trace_id for one in found} == {TRACE.split("-")[1]}
    outputs = next(one for one in found if one.name == "model_outputs")
    assert (outputs.request, outputs.response_bytes) == (b"", len(outputs.response))
    assert {record.request_id for record in records(tmp_path / "spool") if record.kind == "score"} == {
        "one", "own", "bad", "thread",
    }  # fmt: skip


ASYNC_DRIVER = """
import asyncio
from azureml.ai.monitoring import Collector
from pandas import DataFrame

async def init():
    global inputs
    inputs = Collector(name="model_inputs")

async def run(data):
    await asyncio.sleep(0)
    context = inputs.collect(DataFrame([{"a": data}]))
    await asyncio.to_thread(inputs.collect, DataFrame([{"a": data}]))
    return str(context)
"""


def test_async_requests_at_once_keep_their_ids(serve, tmp_path: Path) -> None:
    environment = prepare(tmp_path)
    scoring = serve(ASYNC_DRIVER, **environment, MODELYARD_MAX_CONCURRENT_REQUESTS="8")
    with scoring.connection() as one, scoring.connection() as two:
        for number in range(20):
            for connection, name in ((one, "a"), (two, "b")):
                text = f"{name}{number}"
                answer = request_on(connection, "POST", "/score", text.encode(), {"x-request-id": text})
                assert answer.json() == text
    scoring.terminate()
    assert scoring.exit_code() == 0
    found = [record for record in records(tmp_path / "spool") if record.kind == "driver"]
    assert len(found) == 80
    assert all(json.loads(record.request) == [{"a": record.request_id}] for record in found)


EDGES_DRIVER = """
import warnings
from azureml.ai.monitoring import Collector
from azureml.ai.monitoring.context import BasicCorrelationContext, CorrelationContext
from azureml.datacollector import ModelDataCollector as CollectorOf2017
from azureml.monitoring import ModelDataCollector
from pandas import DataFrame

class Array:
    ndim = 2
    def __init__(self, rows): self.rows = rows
    def tolist(self): return self.rows

def init():
    global named
    named = Collector(name="frames")

class NaTType:  # stands in for the missing time of pandas
    pass

def fails(call):
    try:
        call()
    except Exception as error:
        return type(error).__name__

def run(data):
    errors = []
    nameless = Collector(name="", on_error=errors.append)
    context = BasicCorrelationContext("mine")
    assert nameless.collect("no frame", context) is context
    no_id = BasicCorrelationContext()
    no_id.id = None
    named.collect(DataFrame([{"a": 1}]), no_id)
    inputs = ModelDataCollector("m", "inputs", ["a"], "A/B/C", "web", "7")
    correlations = inputs.collect([float("nan")])
    general = ModelDataCollector("m")
    general.collect([1.5, [float("inf")], {"a": float("nan")}, Array([2]), NaTType()])
    general.collect(Array([]))
    before = ModelDataCollector("m", identifier="raw", other=1)
    before.collect([1])
    of_2017 = CollectorOf2017("m", "inputs", None, "account", "web", "id", "1")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        general.add_correlations({}, correlations)
    return {
        "errors": [type(error).__name__ for error in errors],
        "fails": [
            fails(lambda: Collector(name=5)),
            fails(lambda: CollectorOf2017("m", other=1)),
            fails(lambda: general.add_correlations([1])),
        ],
        "base": CorrelationContext.get_id(),
        "of_2017": of_2017.collect([1], "user"),
        "warnings": len(caught),
        "correlations": {name: correlations[name] for name in sorted(correlations) if "time" not in name},
    }
"""


def test_collectors_do_what_the_packages_do_at_the_edges(serve, tmp_path: Path) -> None:
    scoring = serve(EDGES_DRIVER, **prepare(tmp_path))
    answer = scoring.score(b"1", {"x-request-id": "one"}).json()
    scoring.terminate()
    assert scoring.exit_code() == 0
    assert answer == {
        "errors": ["Exception", "Exception"],
        "fails": ["TypeError", "TypeError", "TypeError"],
        "base": "",
        "of_2017": None,
        "warnings": 1,
        "correlations": {
            "$aml_dc_boundary": 1440,
            "$aml_dc_correlation_id": "one",
            "$aml_model_name": "m",
            "$aml_model_version": "7",
            "$aml_request_id": "one",
            "$aml_service_name": "web",
            "$aml_workspace": "a/b/c",
        },
    }
    found = [record for record in records(tmp_path / "spool") if record.kind == "driver"]
    assert [(one.name, one.correlation_id, json.loads(one.request)) for one in found] == [
        ("frames", "one", [{"a": 1}]),
        ("m-inputs", "one", [{"a": None}]),
        ("m-general", "one", [[1.5, [None], {"a": None}, [2], None]]),
        ("m-general", "one", []),
        ("m-raw", "one", [[1]]),
        ("m-inputs", "user", [[1]]),
    ]


OFF_DRIVER = """
import sys
from azureml.ai.monitoring import Collector
from azureml.monitoring import ModelDataCollector

def init():
    global collectors, of_2018
    collectors = [Collector(name="model_inputs"), Collector(name="")]
    of_2018 = ModelDataCollector("m", designation="predictions")

def run(data):
    context = collectors[0].collect("no frame")
    collectors[1].collect("no frame", context)
    assert of_2018.collect("no frame") is None
    assert of_2018.add_correlations([1], None) == [1]
    loaded = [name for name in sys.modules if name.startswith(("pandas", "modelyard.scoring.spool"))]
    return [len(str(context)) > 0, loaded]
"""


def test_collectors_do_nothing_without_the_feature(serve, tmp_path: Path) -> None:
    prepare(tmp_path)
    scoring = serve(OFF_DRIVER)
    answer = scoring.score(b"1").json()
    assert answer[0] is True
    assert answer[1] == []
    assert "ollect" not in scoring.log
    assert not list((tmp_path / "spool").iterdir())


BROKEN_DRIVER = """
from azureml.monitoring import ModelDataCollector

class Table(list):
    def to_json(self, **options): raise RuntimeError("no JSON")

def init():
    global collector
    collector = ModelDataCollector("m", designation="inputs")

def run(data):
    collector.collect(Table())
    collector.collect("text")
    return 1
"""


def test_data_that_is_no_json_fails_no_request(serve, tmp_path: Path) -> None:
    scoring = serve(BROKEN_DRIVER, **prepare(tmp_path))
    assert scoring.score(b"1").json() == 1
    scoring.terminate()
    assert scoring.exit_code() == 0
    assert not [record for record in records(tmp_path / "spool") if record.kind == "driver"]
    assert "no JSON" in scoring.log
