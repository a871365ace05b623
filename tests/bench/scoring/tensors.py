"""Tensors: an array of 10 MB as binary data of the Open Inference Protocol, and the same numbers as JSON."""

import http.client
import json
import random
import statistics
import struct
import time
from dataclasses import dataclass

from tests.bench.scoring.servers import BUILD, KEY, OURS, Running

DRIVER = """
import numpy
def init(): pass
def run(data: numpy.ndarray, back: bool = False) -> numpy.ndarray:
    return data if back else data[:1]
"""

NUMBERS = 10_000_000 // 8
ROUNDS = 5


@dataclass(frozen=True)
class TensorFigures:
    """Seconds of a request, the medians of all rounds."""

    binary: float
    json: float
    binary_back: float
    """The response has the array, too."""
    json_back: float

    @property
    def ratio(self) -> float:
        """Return how many times faster binary data is than JSON, with the array in request and response."""
        return self.json_back / self.binary_back


def measured_tensors() -> TensorFigures:
    """Measure both forms in turn, with and without the array in the response."""
    driver = BUILD / "tensor.py"
    driver.write_text(DRIVER)
    generator = random.Random(1)
    numbers = [generator.random() for _ in range(NUMBERS)]
    binary = struct.pack(f"<{NUMBERS}d", *numbers)
    requests = {
        (is_binary, back): _binary_request(binary, back) if is_binary else _json_request(numbers, back)
        for is_binary in (True, False)
        for back in (False, True)
    }
    taken: dict[tuple[bool, bool], list[float]] = {key: [] for key in requests}
    with Running(OURS, {"AML_APP_ROOT": str(driver.parent), "AZUREML_ENTRY_SCRIPT": driver.name}) as one:
        connection = http.client.HTTPConnection("127.0.0.1", one.port)
        for _ in range(ROUNDS):
            for key, (path, body, headers) in requests.items():
                started = time.perf_counter()
                connection.request("POST", path, body, headers)
                response = connection.getresponse()
                received = response.read()
                taken[key].append(time.perf_counter() - started)
                if response.status != 200:
                    raise RuntimeError(f"{path} responded with {response.status}: {received[:200]!r}")
        connection.close()
    medians = {key: statistics.median(values) for key, values in taken.items()}
    return TensorFigures(
        medians[True, False], medians[False, False], medians[True, True], medians[False, True]
    )


def tensor_line(figures: TensorFigures) -> str:
    """Return two sentences with the figures."""
    return (
        f"Tensors: 10 MB of FP64 in a request take {figures.binary * 1000:.0f} ms as binary data of the"
        f" Open Inference Protocol, {figures.json * 1000:.0f} ms as JSON to `/score`. With the array in"
        f" the response, too, they take {figures.binary_back * 1000:.0f} ms and"
        f" {figures.json_back * 1000:.0f} ms."
    )


def _binary_request(binary: bytes, back: bool) -> tuple[str, bytes, dict[str, str]]:
    declared = {
        "name": "data",
        "datatype": "FP64",
        "shape": [NUMBERS],
        "parameters": {"binary_data_size": len(binary)},
    }
    parameters = {"binary_data_output": True, "back": back}
    head = json.dumps({"inputs": [declared], "parameters": parameters}).encode()
    headers = {"authorization": f"Bearer {KEY}", "inference-header-content-length": str(len(head))}
    return "/v2/models/m/infer", head + binary, headers


def _json_request(numbers: list[float], back: bool) -> tuple[str, bytes, dict[str, str]]:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    return "/score", json.dumps({"data": numbers, "back": back}).encode(), headers
