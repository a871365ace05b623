"""The API types and the API server give the same verdict on random values."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from pydantic import ValidationError
from tests.api_cases.case import Good
from tests.integration.api.conftest import DryRun

from modelyard.api.kinds import KINDS_BY_NAME

SEED = 2017
TRIES = 200

Generator = Callable[[random.Random], str]


def _one_of_each(*choices: list[str]) -> Generator:
    return lambda source: "".join(map(source.choice, choices))


def _some_of(pieces: list[str], maximum: int) -> Generator:
    return lambda source: "".join(source.choices(pieces, k=source.randint(0, maximum)))


_QUANTITY = _one_of_each(
    ["", "", "", "+", "-", " "],
    ["0", "7", "12", "1024", "0.25", ".5", "3.", "1.5e3", "1_0", ""],
    ["", *"munkMGTPEeB ", "Ki", "Mi", "Gi", "Ti", "Ei", "mi", "e3", "E-2"],
)
GENERATORS = {
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


def _expected_status(case: Good) -> int:
    """Return the HTTP status that the API server must answer."""
    try:
        KINDS_BY_NAME[case.kind].resource.model_validate(case.manifest())
    except ValidationError:
        return 422
    return 201


@pytest.mark.parametrize("path", GENERATORS)
def test_types_and_api_server_agree(path: str, dry_run: DryRun) -> None:
    kind, field = path.split()
    source = random.Random(f"{SEED} {path}")
    values = {GENERATORS[path](source) for _ in range(TRIES)}
    expected = {value: _expected_status(Good(kind, {field: value})) for value in values}
    assert set(expected.values()) == {201, 422}, "the random values do not cover both verdicts"
    assert expected == {value: dry_run(Good(kind, {field: value}).manifest()).status_code for value in values}
