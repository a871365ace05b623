"""The protocol for one driver: its metadata, and one inference after the other."""

import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelyard.scoring.contract import Variable
from modelyard.scoring.frames import Reply
from modelyard.scoring.worker.channel import WorkerRequest
from modelyard.scoring.worker.hints import Hint
from modelyard.scoring.worker.inference_protocol import samples
from modelyard.scoring.worker.inference_protocol.outputs import output_name, outputs_of
from modelyard.scoring.worker.inference_protocol.parameters import (
    Description,
    TensorParameter,
    TextParameter,
    arguments_of,
    data_type_name,
    described,
    described_by_schema,
    of_hint,
)
from modelyard.scoring.worker.inference_protocol.request_body import InferenceRequest, parsed
from modelyard.scoring.worker.inference_protocol.response_body import reply_of_outputs
from modelyard.scoring.worker.results import reply_beside_json


@dataclass(frozen=True, slots=True)
class Inference:
    """One request: the arguments of run(), and the form of its result."""

    arguments: dict[str, Any]
    request: InferenceRequest
    head: Mapping[str, Any]
    """Fields of the response beside the outputs."""

    def reply_of(self, result: Any) -> Reply:
        """Return the reply of a result of run(). A response object or an iterator is no tensor, and passes.

        Raises InputError for requested outputs that do not exist, NotJsonError for values without a form.
        """
        return reply_beside_json(result) or reply_of_outputs(outputs_of(result), self.request, self.head)


class InferenceProtocol:
    """Tensors for a driver that takes text or has a schema."""

    def __init__(
        self,
        run: Callable[..., Any],
        parameters: Sequence[inspect.Parameter],
        hints: Mapping[str, Hint],
        *,
        is_decorated: bool,
    ) -> None:
        self._outputs: list[Description] = []
        self._parameters: list[TensorParameter]
        if is_decorated:
            self._parameters = samples.parameters_of(run, parameters)
            self._outputs = samples.outputs_of(run, output_name(0))
        elif hints:
            self._parameters = [of_hint(one, hints[one.name]) for one in parameters]
            self._outputs = _outputs_by_hint(hints["return"])
        else:
            self._parameters = [TextParameter(parameters[0], {}, str)]

    @property
    def metadata(self) -> dict[str, list[Description]]:
        """Return the inputs and outputs, as far as hints and samples declare them."""
        inputs = [description for one in self._parameters for description in one.descriptions]
        return {"inputs": inputs, "outputs": self._outputs}

    def begin(self, request: WorkerRequest) -> Inference:
        """Return the inference for a request. Raises InputError if its tensors are not those of run()."""
        meta = json.loads(request.meta)
        headers = meta["headers"]
        parsed_request = parsed(request.body, headers)
        head = {"model_name": meta["path"].split("/")[3], "id": parsed_request.id or headers["x-request-id"]}
        version = os.environ.get(Variable.MODEL_VERSION)
        if version:
            head["model_version"] = version
        return Inference(arguments_of(self._parameters, parsed_request), parsed_request, head)


def _outputs_by_hint(hint: Hint) -> list[Description]:
    """Return the outputs by the hint of the result; none for tables and objects, whose names are unknown."""
    if hint.target == "ndarray":
        return [described(output_name(0), data_type_name(hint.dtype), [-1])]
    if hint.target == "DataFrame" or hint.schema.get("type", "object") == "object":
        return []
    items = hint.schema.get("prefixItems")
    if items:
        return [described_by_schema(output_name(position), one) for position, one in enumerate(items)]
    return [described_by_schema(output_name(0), hint.schema)]
