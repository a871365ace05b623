"""Run a program of the suite and describe its outcome: in a driver, and in the process of the packages.

This file is the beginning of both. It imports the collectors by the names that drivers use.
"""

import datetime as dt
import inspect
import warnings

import azureml.ai.monitoring.context
import numpy as np
import pandas as pd
from azureml.ai.monitoring import Collector
from azureml.ai.monitoring.context import BasicCorrelationContext, CorrelationContext
from azureml.datacollector import ModelDataCollector as Of2017
from azureml.monitoring import ModelDataCollector as Of2018


def parameters(function):
    """Return the parameters of a function as text, without their types."""
    signature = inspect.signature(function)
    plain = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    return str(inspect.Signature(plain))


def described(value):
    """Return a value as JSON."""
    if isinstance(value, CorrelationContext):
        return {"context": type(value).__name__, "id": value.get_id()}
    if isinstance(value, np.ndarray):
        return {"array": described(value.tolist())}
    if isinstance(value, pd.DataFrame):
        return {"frame": described(value.to_dict("split"))}
    if isinstance(value, dict):
        return {str(key): described(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [described(one) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


NAMES = {
    "np": np, "pd": pd, "datetime": dt, "context": azureml.ai.monitoring.context,
    "Collector": Collector, "Basic": BasicCorrelationContext, "Correlation": CorrelationContext,
    "Of2017": Of2017, "Of2018": Of2018, "parameters": parameters,
}  # fmt: skip


def outcome(code):
    """Return the result of the program, the errors that on_error got, and the number of warnings."""
    errors = []
    scope = {**NAMES, "errors": errors, "__name__": "driver"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            exec(code, scope)
            result = described(scope.get("result"))
        except Exception as error:
            result = "raises " + type(error).__name__
    warned = any(one.category is UserWarning for one in caught)
    return {"result": result, "errors": [type(error).__name__ for error in errors], "warns": warned}
