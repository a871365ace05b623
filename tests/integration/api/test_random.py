"""Values that nobody thought of: the types and the API server judge each alike."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from pydantic import ValidationError
from tests.api_cases.case import Good
from tests.integration.api.conftest import Ask

from modelyard.api.kinds import KINDS_BY_NAME

SEED = 2017
TRIES = 200

Throw = Callable[[random.Random], str]


def _one_of_each(*choices: list[str]) -> Throw:
    return lambda dice: "".join(map(dice.choice, choices))


def _some_of(pieces: list[str], most: int) -> Throw:
    return lambda dice: "".join(dice.choices(pieces, k=dice.randint(0, most)))


_QUANTITY = _one_of_each(
    ["", "", "", "+", "-", " "],
    ["0", "7", "12", "1024", "0.25", ".5", "3.", "1.5e3", "1_0", ""],
    ["", *"munkMGTPEeB ", "Ki", "Mi", "Gi", "Ti", "Ei", "mi", "e3", "E-2"],
)
THROWS = {
    "Service spec.containerResourceReservation.cpu": _QUANTITY,
    "Service spec.containerResourceReservation.memory": _QUANTITY,
    "Service spec.imageId": _some_of([*"a10-.:A_\n", "b2", "x" * 30], 5),
    "Service metadata.name": _some_of([*"a1-.A", "b2", "x" * 30], 4),
    "Model metadata.name": _some_of([*"a1-._", "b2", "x" * 30], 4),
    "Model spec.secretRef.name": _some_of([*"a1-.A", "b2", "x" * 120], 4),
    "Model spec.name": _some_of([*"a./\t\x7fé\U0001f600\u2028", "..", "x" * 124], 4),
    "Model spec.url": _some_of(["http", "s3", "data", "HTTP", ":", "//", "/", "a", "\n", ","], 5),
    "Manifest spec.targetRuntime.properties.pythonVersion": _some_of([*"31. \n", "3.", "11"], 4),
}


def _judge(case: Good) -> int:
    """The status that the API server should answer."""
    try:
        KINDS_BY_NAME[case.kind].resource.model_validate(case.manifest())
    except ValidationError:
        return 422
    return 201


@pytest.mark.parametrize("path", THROWS)
def test_types_and_api_server_agree(path: str, ask: Ask) -> None:
    kind, field = path.split()
    dice = random.Random(f"{SEED} {path}")
    values = {THROWS[path](dice) for _ in range(TRIES)}
    judged = {value: _judge(Good(kind, {field: value})) for value in values}
    assert set(judged.values()) == {201, 422}, "the values are no test"
    assert judged == {value: ask(Good(kind, {field: value}).manifest()).status_code for value in values}
