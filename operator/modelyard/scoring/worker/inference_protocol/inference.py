"""One request of the protocol: from its bytes to the arguments of run(), and from the result to the reply."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelyard.scoring.contract import Variable
from modelyard.scoring.frames import Reply
from modelyard.scoring.worker.channel import WorkerRequest
from modelyard.scoring.worker.inference_protocol.outputs import outputs_of
from modelyard.scoring.worker.inference_protocol.parameters import TensorParameter, arguments_of
from modelyard.scoring.worker.inference_protocol.request_body import InferenceRequest, parsed
from modelyard.scoring.worker.inference_protocol.response_body import reply_of_outputs
from modelyard.scoring.worker.results import reply_of_response


@dataclass(frozen=True, slots=True)
class Inference:
    """One request: the arguments of run(), and the form of its result."""

    arguments: dict[str, Any]
    request: InferenceRequest
    head: Mapping[str, Any]
    """Fields of the response beside the outputs."""

    @classmethod
    def of(
        cls,
        request: WorkerRequest,
        parameters: Sequence[TensorParameter],
        decoded: Callable[[bytes | memoryview], Any],
    ) -> "Inference":
        """Return the inference for a request. Raises InputError if its tensors are not those of run().

        `decoded` decodes JSON as json.loads() does.
        """
        meta = json.loads(request.meta)
        headers = meta["headers"]
        parsed_request = parsed(request.body, headers, decoded)
        head = {"model_name": meta["path"].split("/")[3], "id": parsed_request.id or headers["x-request-id"]}
        version = os.environ.get(Variable.MODEL_VERSION)
        if version:
            head["model_version"] = version
        return cls(arguments_of(parameters, parsed_request), parsed_request, head)

    def reply_of(self, result: Any) -> Reply:
        """Return the reply of a result of run(). A response object is no tensor, and passes.

        Raises InputError for requested outputs that do not exist, NotJsonError for values without a form.
        """
        return reply_of_response(result) or reply_of_outputs(outputs_of(result), self.request, self.head)
