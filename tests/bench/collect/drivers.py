"""The drivers of the benchmark: one without any work, and two with a model."""

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

_SKLEARN: Final = replace(OURS, requirements="ours_sklearn")
_PATIENTS: Final = json.dumps({"data": [[0.05, 0.05, -0.05, -0.01, 0.02, 0.03, -0.04, 0.01, 0.0, -0.02]] * 2})


def _regression(module: str, estimator: str) -> Driver:
    """Return a driver that fits an estimator of scikit-learn when it starts, and scores two patients."""
    source = f"""\
import json

import numpy
from sklearn.datasets import load_diabetes
from sklearn.{module} import {estimator.partition("(")[0]}


def init():
    global model
    model = {estimator}.fit(*load_diabetes(return_X_y=True))


def run(body):
    return model.predict(numpy.array(json.loads(body)["data"])).tolist()
"""
    return Driver(_SKLEARN, source, _PATIENTS)


LINEAR: Final = _regression("linear_model", "Ridge(alpha=1.0)")
"""The model of the demo, which takes less than 0.1 ms: a core scores some 12,000 requests in a second."""

BOOSTING: Final = _regression("ensemble", "GradientBoostingRegressor(random_state=0)")
"""100 boosted trees, which take less than 0.2 ms: a core scores some 5,000 requests in a second."""
