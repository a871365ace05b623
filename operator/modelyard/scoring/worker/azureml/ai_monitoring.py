"""`azureml.ai.monitoring`: Collector, which writes to the data collection of the Service.

It does nothing if data collection is off. The package azureml-ai-monitoring sends the data to a local port of
Azure, and raises if collection is off.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from modelyard.scoring.worker.azureml.ai_context import CorrelationContext, get_context
from modelyard.scoring.worker.collection import driver_data

__all__ = ["Collector"]

__path__: list[str] = []
"""The package has modules: `context`, `collector`."""


class Collector:
    """Collects frames of pandas under a name."""

    def __init__(self, *, name: str, on_error: Callable[[Exception], Any] | None = None) -> None:
        """`on_error` gets the error of a missing name, or of other data. Without it the error is raised."""
        self._name = name
        self._on_error = on_error or _raise
        self._data = driver_data()
        if self._data is not None:
            self._has_name()

    def collect(self, data: Any, correlation_context: Any = None) -> CorrelationContext:
        """Collect a frame. Return the context for further data of the same request."""
        context: CorrelationContext = (
            correlation_context if correlation_context is not None else get_context()
        )
        if self._data is None or not self._has_name():
            return context
        if not _is_pandas_frame(data):
            self._on_error(TypeError(f"collect() takes a pandas.DataFrame, not {type(data).__name__}"))
            return context
        correlation_id = context.get_id()
        text = "" if correlation_id is None else str(correlation_id)
        self._data.collect(self._name, partial(data.to_json, orient="records"), text)
        return context

    def _has_name(self) -> bool:
        """Return False after on_error() for an empty name. Raises TypeError for a name that is no text."""
        if self._name and not isinstance(self._name, str):
            raise TypeError(f"the name of a collector is text, not {type(self._name).__name__}")
        if self._name:
            return True
        self._on_error(Exception("the collector has no name: Collector(name='model_inputs')"))
        return False


def _is_pandas_frame(data: Any) -> bool:
    """Return True for a pandas.DataFrame, without an import of pandas."""
    return any(
        one.__name__ == "DataFrame" and one.__module__.partition(".")[0] == "pandas"
        for one in type(data).__mro__
    )


def _raise(error: Exception) -> None:
    raise error
