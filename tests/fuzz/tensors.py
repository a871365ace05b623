"""Inference requests with damaged heads: no crash, and an undamaged array comes back unchanged."""

from __future__ import annotations

import copy
import inspect
import json
import random
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from tests.fuzz.tally import Tally

from modelyard.scoring.frames import INFER, Reply
from modelyard.scoring.worker.channel import WorkerRequest
from modelyard.scoring.worker.hints import hint_of
from modelyard.scoring.worker.inference_protocol.datatypes import DATA_TYPES
from modelyard.scoring.worker.inference_protocol.protocol import InferenceProtocol
from modelyard.scoring.worker.inputs import InputError
from modelyard.scoring.worker.json_decoder import json_decoder
from modelyard.scoring.worker.json_values import NotJsonError

_VALUES: Final[tuple[Any, ...]] = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**64, 10**400, 1.5, 1e308, float("inf"), float("nan"),
    "", "x", "FP32", "BYTES", "BOOL", "\ud800", [], [[]], [[1], [2, 3]], [None], [2**62, 2**62],
    [0, 2**62], [2**62, 0], [2**62, 0, 1], [1] * 40, {}, {"binary_data_size": 4}, {"binary_data": True},
)  # fmt: skip
_LENGTHS: Final = ("-1", "0", "1", "1e3", "0x10", "9" * 30, "1, 2", "", " 5")


def _array(x: np.ndarray[Any, Any]) -> Any:
    return x


def _number(x: float) -> Any:
    return x


def _lists(x: list[list[int]], scale: float = 1.0) -> Any:
    return {"x": x, "scale": scale}


def _text(data: Any) -> Any:
    return data


_HINTED: Final = (_array, _number, _lists)


def run(tally: Tally, inputs: int, seed: int) -> None:
    """Send requests to run() with several kinds of parameters. Only refusals of the input may be raised."""
    chance = random.Random(seed)
    protocols = [(one, _protocol(one, is_plain=False)) for one in _HINTED]
    protocols.append((_text, _protocol(_text, is_plain=True)))
    for _ in range(inputs):
        tally.inputs += 1
        document, binary, expected = _request(chance)
        is_damaged = chance.random() < 0.8
        length: str | None = None
        if is_damaged:
            _damage(chance, document)
            length = chance.choice(_LENGTHS) if chance.random() < 0.1 else None
            binary = binary[: chance.randrange(len(binary) + 1)] if chance.random() < 0.2 else binary
        head = json.dumps(document).encode()
        started = time.process_time()
        driver, protocol = protocols[0] if not is_damaged else chance.choice(protocols)
        try:
            reply = _reply(protocol, driver, head, binary, length)
        except (InputError, NotJsonError) as error:
            if not is_damaged:
                tally.escape(head, f"a valid request was refused: {error}")
        except BaseException as error:
            tally.crash((head, binary[:100]), error)
        else:
            if not is_damaged and not reply.body.endswith(expected):
                tally.escape(head, "another array came back")
        tally.check_time(head, started)


def _protocol(driver: Callable[..., Any], *, is_plain: bool) -> InferenceProtocol:
    parameters = [*inspect.signature(driver).parameters.values()]
    kinds = {"_array": np.ndarray, "_number": float, "_lists": list[list[int]]}
    hints = {} if is_plain else {"x": hint_of(kinds[driver.__name__]), "scale": hint_of(float)}
    hints |= {} if is_plain else {"return": hint_of(Any)}
    return InferenceProtocol(driver, parameters, hints, json_decoder(), is_decorated=False)


def _reply(
    protocol: InferenceProtocol, driver: Callable[..., Any], head: bytes, binary: bytes, length: str | None
) -> Reply:
    headers = {"x-request-id": "r"}
    if binary or length is not None:
        headers["inference-header-content-length"] = str(len(head)) if length is None else length
    meta = json.dumps({"path": "/v2/models/m/infer", "headers": headers}).encode()
    inference = protocol.begin(WorkerRequest(1, 0.0, INFER, meta, head + binary))
    return inference.reply_of(driver(**inference.arguments))


def _request(chance: random.Random) -> tuple[dict[str, Any], bytes, bytes]:
    """Return a valid request, its binary data, and the binary data of the response."""
    datatype = chance.choice([*DATA_TYPES.values()])
    shape = [chance.randrange(4) for _ in range(chance.randrange(4))]
    size = int(np.prod(shape))
    declared: dict[str, Any] = {"name": "x", "datatype": datatype.name, "shape": shape}
    document = {"inputs": [declared], "parameters": {"binary_data_output": True}, "id": "1"}
    if datatype.name == "BYTES":
        texts = ["".join(chance.choices("aä\0", k=chance.randrange(3))) for _ in range(size)]
        binary = b"".join(len(one.encode()).to_bytes(4, "little") + one.encode() for one in texts)
        data: list[Any] = texts
    else:
        array = np.array([chance.randrange(2) for _ in range(size)], dtype=datatype.dtype)
        binary, data = array.tobytes(), array.tolist()
    if chance.random() < 0.5:
        declared["data"] = data
        return document, b"", binary
    declared["parameters"] = {"binary_data_size": len(binary)}
    return document, binary, binary


def _damage(chance: random.Random, document: dict[str, Any]) -> None:
    """Replace, remove or repeat parts of the request."""
    for _ in range(chance.randrange(1, 4)):
        holder: Any = document
        while chance.random() < 0.7 and holder:
            parts = holder if isinstance(holder, list) else holder.values()
            inner = [one for one in parts if isinstance(one, dict | list)]
            if not inner:
                break
            holder = chance.choice(inner)
        value = copy.deepcopy(chance.choice(_VALUES))
        if isinstance(holder, list):
            holder.insert(chance.randrange(len(holder) + 1), value)
        elif holder and chance.random() < 0.3:
            del holder[chance.choice([*holder])]
        else:
            holder[chance.choice([*holder, "data", "outputs", "parameters", "binary_data_size"])] = value
