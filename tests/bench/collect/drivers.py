"""The drivers of the benchmark: one without any work, and one with a model."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Final

from tests.bench.scoring.servers import OURS, TINY, Server, as_data


@dataclass(frozen=True)
class Driver:
    """A driver, and the request that it gets."""

    server: Server
    """The scoring server with the packages of the driver."""
    source: str
    body: str


EMPTY: Final = Driver(OURS, "def init(): pass\ndef run(data): return 1\n", as_data(TINY))
"""Scoring takes nothing, so the cost of collection has its largest share."""

MODEL: Final = Driver(
    replace(OURS, requirements="ours_sklearn"),
    """\
import json

import numpy
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge


def init():
    global model
    model = Ridge(alpha=1.0).fit(*load_diabetes(return_X_y=True))


def run(body):
    return model.predict(numpy.array(json.loads(body)["data"])).tolist()
""",
    json.dumps({"data": [[0.05, 0.05, -0.05, -0.01, 0.02, 0.03, -0.04, 0.01, 0.0, -0.02]] * 2}),
)
"""The model of the demo, which scores two patients."""
