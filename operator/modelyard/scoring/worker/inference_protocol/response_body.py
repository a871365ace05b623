"""From output tensors to the body of a response, and its headers."""

import json
import sys
from collections.abc import Mapping
from struct import pack
from typing import Any

from modelyard.scoring.contract import RUN_FAILED_HEADER
from modelyard.scoring.frames import RETURNED, Reply
from modelyard.scoring.worker.inference_protocol.datatypes import BYTES
from modelyard.scoring.worker.inference_protocol.outputs import OutputTensor
from modelyard.scoring.worker.inference_protocol.request_body import InferenceRequest
from modelyard.scoring.worker.inputs import InputError
from modelyard.scoring.worker.json_values import NotJsonError, encoded

Buffer = bytes | memoryview


def reply_of_outputs(
    outputs: Mapping[str, OutputTensor], request: InferenceRequest, head: Mapping[str, Any]
) -> Reply:
    """Return the reply with the requested outputs. `head` has the other fields of the response.

    Raises InputError if the request names an output that run() has not returned, and NotJsonError if a value
    cannot be written as JSON.
    """
    requested = request.outputs or dict.fromkeys(outputs, request.binary_output)
    documents, buffers = [], []
    for name, is_binary in requested.items():
        if name not in outputs:
            raise InputError(400, f"there is no output {name!r}: run() returned {', '.join(outputs)}")
        document, buffer = _document(name, outputs[name], is_binary=is_binary)
        documents.append(document)
        if buffer is not None:
            buffers.append(buffer)
    body = encoded({**head, "outputs": documents})
    lines = [("content-type", "application/octet-stream" if buffers else "application/json")]
    if buffers:
        lines.append(("Inference-Header-Content-Length", str(len(body))))
        body = b"".join((body, *buffers))
    lines.append((RUN_FAILED_HEADER, "False"))
    return Reply(RETURNED, 200, body, json.dumps(lines).encode())


def _document(name: str, output: OutputTensor, *, is_binary: bool) -> tuple[dict[str, Any], Buffer | None]:
    """Return an output as JSON, and its binary data."""
    document: dict[str, Any] = {
        "name": name,
        "datatype": output.datatype.name,
        "shape": list(output.shape),
    }
    parameters = dict(output.parameters)
    buffer = None
    if is_binary:
        buffer = _binary_data(output)
        parameters["binary_data_size"] = len(buffer)
    else:
        document["data"] = _json_data(output)
    if parameters:
        document["parameters"] = parameters
    return document, buffer


def _binary_data(output: OutputTensor) -> Buffer:
    elements = output.elements
    if output.datatype is BYTES:
        encoded_texts = [one.encode() if isinstance(one, str) else one for one in elements]
        return b"".join(part for one in encoded_texts for part in (pack("<I", len(one)), one))
    if isinstance(elements, list):
        return pack(f"<{len(elements)}{output.datatype.code}", *elements)
    return memoryview(elements.view(sys.modules["numpy"].uint8))


def _json_data(output: OutputTensor) -> list[Any]:
    """Return the elements as JSON values. Raises NotJsonError for bytes that are no text."""
    elements: list[Any] = output.elements if isinstance(output.elements, list) else output.elements.tolist()
    if output.datatype is not BYTES:
        return elements
    try:
        return [one if isinstance(one, str) else str(one, "utf-8") for one in elements]
    except UnicodeDecodeError:
        raise NotJsonError("run() returned bytes that are no UTF-8: ask for binary_data") from None
