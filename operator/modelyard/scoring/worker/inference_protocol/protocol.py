"""The protocol for one driver: its metadata at once, and all other modules with the first inference.

They take 5 ms to load, which no start of a driver pays.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from modelyard.scoring.worker.channel import WorkerRequest
from modelyard.scoring.worker.hints import Hint
from modelyard.scoring.worker.inference_protocol.descriptions import (
    Description,
    inputs_of_hints,
    outputs_of_hint,
)

if TYPE_CHECKING:
    from modelyard.scoring.worker.inference_protocol.inference import Inference
    from modelyard.scoring.worker.inference_protocol.parameters import TensorParameter


class InferenceProtocol:
    """Tensors for a driver that takes text or has a schema."""

    def __init__(
        self,
        run: Callable[..., Any],
        parameters: Sequence[inspect.Parameter],
        hints: Mapping[str, Hint],
        decoded: Callable[[bytes | memoryview], Any],
        *,
        is_decorated: bool,
    ) -> None:
        self._run = run
        self._declared = parameters
        self._hints = hints
        self._decoded = decoded
        self._is_decorated = is_decorated

    @property
    def metadata(self) -> dict[str, list[Description]]:
        """Return the inputs and outputs, as far as hints and samples declare them."""
        if self._is_decorated:
            from modelyard.scoring.worker.inference_protocol import samples  # noqa: PLC0415 - few drivers need it

            inputs = samples.inputs_of_samples(self._run, self._declared)
            return {"inputs": inputs, "outputs": samples.outputs_of_schema(self._run)}
        if self._hints:
            inputs = inputs_of_hints(self._declared, self._hints)
            return {"inputs": inputs, "outputs": outputs_of_hint(self._hints["return"])}
        return {"inputs": [], "outputs": []}

    def begin(self, request: WorkerRequest) -> Inference:
        """Return the inference for a request. Raises InputError if its tensors are not those of run()."""
        from modelyard.scoring.worker.inference_protocol.inference import Inference  # noqa: PLC0415 - see above

        return Inference.of(request, self._parameters, self._decoded)

    @cached_property
    def _parameters(self) -> list[TensorParameter]:
        from modelyard.scoring.worker.inference_protocol import parameters  # noqa: PLC0415 - see above

        if self._is_decorated:
            return parameters.of_samples(self._run, self._declared)
        if self._hints:
            return [parameters.of_hint(one, self._hints[one.name]) for one in self._declared]
        return [parameters.TextParameter(self._declared[0], {}, str)]
